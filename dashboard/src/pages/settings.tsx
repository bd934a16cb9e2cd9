// Settings, one section at an address.
import { Link, useParams } from "@tanstack/react-router";
import { useRef } from "react";
import type { Role } from "../api/session";
import { useMay } from "../api/session";
import { Head } from "../parts/basic";
import { useInSight } from "../parts/tabs";
import { type Key, t } from "../words";
import { AuditLog } from "./settings-audit";
import { Billing } from "./settings-billing";
import { Keys } from "./settings-keys";
import { Members } from "./settings-members";
import { Organization, Security } from "./settings-organization";
import { Pages } from "./settings-pages";
import { ProviderKeys } from "./settings-providers";
import { Webhooks } from "./settings-webhooks";

const SECTIONS: { id: string; word: Key; Part: () => React.ReactNode; least: Role }[] = [
  { id: "organization", word: "settings.organization", Part: Organization, least: "viewer" },
  { id: "members", word: "settings.members", Part: Members, least: "viewer" },
  { id: "keys", word: "settings.keys", Part: Keys, least: "developer" },
  { id: "pages", word: "settings.pages", Part: Pages, least: "viewer" },
  { id: "providers", word: "settings.providers", Part: ProviderKeys, least: "developer" },
  { id: "webhooks", word: "settings.webhooks", Part: Webhooks, least: "viewer" },
  { id: "billing", word: "settings.billing", Part: Billing, least: "viewer" },
  { id: "security", word: "settings.security", Part: Security, least: "viewer" },
  { id: "audit", word: "settings.audit", Part: AuditLog, least: "admin" },
];

export function Settings() {
  const { section } = useParams({ strict: false }) as { section: string };
  const may = { viewer: true, developer: useMay("developer"), admin: useMay("admin"), owner: useMay("owner") };
  const shown = SECTIONS.filter((each) => may[each.least]);
  const chosen = SECTIONS.find((each) => each.id === section) ?? SECTIONS[0];
  const list = useRef<HTMLElement>(null);
  useInSight(list, chosen?.id);
  const allowed = chosen && may[chosen.least];
  return (
    <div className="page">
      <Head title={t("nav.settings")} />
      <nav className="tablist" ref={list} aria-label={t("nav.settings")}>
        {shown.map((each) => (
          <Link key={each.id} to="/settings/$section" params={{ section: each.id }} activeOptions={{ includeSearch: false }}>
            {t(each.word)}
          </Link>
        ))}
      </nav>
      {chosen && allowed ? <chosen.Part /> : <p className="note">{t("may.not.see")}</p>}
    </div>
  );
}
