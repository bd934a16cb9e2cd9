// To an organization's identity provider: by the link that names the organization, or by the domain
// of an e-mail address.
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, data } from "../api/client";
import { Button, Failure } from "../parts/basic";
import { TextField } from "../parts/fields";
import { t } from "../words";

const NEXT = "chorus.next";

/** Only a path of this dashboard: a link from elsewhere must not choose where one goes. */
export function safe(next: string | null | undefined): string {
  return next?.startsWith("/") && !next.startsWith("//") ? next : "/";
}

/** Where the one who went to the provider wanted to go, told once. */
export function wanted(): string {
  const kept = sessionStorage.getItem(NEXT);
  sessionStorage.removeItem(NEXT);
  return safe(kept);
}

function useGoing(next: string) {
  return useMutation({
    mutationFn: (organizationId: string) => data(api.POST("/v1/sso/authorizations", { body: { organizationId } })),
    onSuccess: ({ url }) => {
      sessionStorage.setItem(NEXT, next);
      window.location.assign(url);
    },
  });
}

export function Going({ organization, next, name }: { organization: string; next: string; name?: string }) {
  const going = useGoing(next);
  return (
    <>
      <Button look={name ? "" : "strong"} isDisabled={going.isPending || going.isSuccess} onPress={() => going.mutate(organization)}>
        {name ?? t("sso.go")}
      </Button>
      <Failure error={going.error} />
    </>
  );
}

export function ByOrganization({ next }: { next: string }) {
  const [open, setOpen] = useState(false);
  const [email, setEmail] = useState("");
  const going = useGoing(next);
  const find = useMutation({
    mutationFn: () => data(api.POST("/v1/sso/organizations", { body: { email } })),
    onSuccess: ({ organizations: [first, ...others] }) => {
      if (first && others.length === 0) going.mutate(first.id);
    },
  });
  const found = find.data?.organizations;
  if (!open)
    return (
      <Button look="bare" onPress={() => setOpen(true)}>
        {t("sso.instead")}
      </Button>
    );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    find.mutate();
  };
  return (
    <form onSubmit={submit} aria-label={t("sso.instead")}>
      <TextField label={t("sso.email")} type="email" name="email" autoComplete="username" required value={email} onChange={setEmail} autoFocus />
      <Failure error={find.error ?? going.error} />
      <div role="status">
        {found?.length === 0 && <p className="note warn">{t("sso.nobody")}</p>}
        {found && found.length > 1 && <p>{t("sso.which")}</p>}
      </div>
      {found && found.length > 1 && found.map((each) => <Going key={each.id} organization={each.id} next={next} name={each.name} />)}
      <Button type="submit" look="strong" isDisabled={find.isPending || going.isPending || going.isSuccess}>
        {t("sso.go")}
      </Button>
    </form>
  );
}
