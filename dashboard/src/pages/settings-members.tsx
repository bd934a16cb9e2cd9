import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { membersQuery } from "../api/all";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries, type Role, useMay, useSession } from "../api/session";
import { Badge, Button, Code, Failure, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { t } from "../words";

const ROLES: Role[] = ["viewer", "developer", "admin", "owner"];

/** What one may make of others: an owner all, an admin all but owners. */
const roles = (owner: boolean) => ROLES.filter((id) => owner || id !== "owner").map((id) => ({ id, label: t(`role.${id}`) }));

/** In the fragment, which no server sees. */
const link = (token: string) => `${window.location.origin}/dashboard/invitation#token=${token}`;

export function Members() {
  const may = useMay("admin");
  const owner = useMay("owner");
  const me = useSession();
  // Who is below an owner neither makes one nor touches one.
  const within = (member: Schemas["Member"]) => may && member.id !== me.member.id && (owner || member.role !== "owner");
  const [inviting, setInviting] = useState(false);
  const [removing, setRemoving] = useState<Schemas["Member"] | null>(null);
  const [token, setToken] = useState<string | null>(null);
  const found = useQuery(membersQuery);
  const again = () => queries.invalidateQueries({ queryKey: ["members"] });
  const change = useMutation({ mutationFn: ({ id, role }: { id: string; role: Role }) => data(api.PATCH("/v1/members/{id}", { params: { path: { id } }, body: { role } })), onSuccess: again });
  const invite = useMutation({
    mutationFn: (id: string) => data(api.POST("/v1/members/{id}/invitation", { params: { path: { id } } })),
    onSuccess: (made) => {
      setToken(made.invitationToken);
      void again();
    },
  });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  return (
    <>
      <div className="bar">
        <p className="quiet grow">{t("members.lead")}</p>
        {may && <Button look="strong" icon="plus" onPress={() => setInviting(true)}>{t("members.invite")}</Button>}
      </div>
      <Failure error={change.error ?? invite.error} />
      <div className="table-wrap">
        <table className="list stacks">
          <thead>
            <tr><th>{t("members.who")}</th><th>{t("members.role")}</th><th>{t("state")}</th><th>{t("members.seen")}</th><th><span className="hidden">{t("more")}</span></th></tr>
          </thead>
          <tbody>
            {found.data.map((member) => (
              <tr key={member.id}>
                <td>
                  <strong>{member.name ?? member.email}</strong>
                  {member.name && <span className="small quiet" style={{ display: "block" }}>{member.email}</span>}
                </td>
                <td>
                  {within(member) ? (
                    <SelectField label={<span className="hidden">{t("members.role.of", { who: member.email })}</span>} value={member.role} onChange={(role) => change.mutate({ id: member.id, role: role as Role })} choices={roles(owner)} />
                  ) : (
                    t(`role.${member.role}`)
                  )}
                </td>
                <td>{member.hasPassword || !member.invitationExpiresAt ? <Badge kind="active" /> : <Badge kind="pending">{t("members.invited")}</Badge>}{member.hasSecondFactor && <span className="badge">{t("factor")}</span>}</td>
                <td className="quiet"><Time iso={member.lastLoginAt} /></td>
                <td className="end">
                  {within(member) && (
                    <span className="row" style={{ justifyContent: "flex-end" }}>
                      <Button look="tiny" onPress={() => invite.mutate(member.id)}>{t("members.link")}</Button>
                      <Button look="tiny danger" onPress={() => setRemoving(member)}>{t("remove")}</Button>
                    </span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {inviting && <Invite onClose={() => setInviting(false)} onToken={(made) => { setInviting(false); setToken(made); }} />}
      <Dialog title={t("members.link.title")} open={token !== null} onClose={() => setToken(null)}>
        <p className="quiet">{t("members.link.text")}</p>
        <Code>{link(token ?? "")}</Code>
        <div className="foot"><Button look="strong" onPress={() => setToken(null)}>{t("close")}</Button></div>
      </Dialog>
      <Confirm
        title={t("members.remove", { who: removing?.email ?? "" })}
        open={removing !== null}
        onClose={() => setRemoving(null)}
        verb={t("remove")}
        act={async () => {
          await data(api.DELETE("/v1/members/{id}", { params: { path: { id: removing?.id ?? "" } } }));
          await again();
        }}
      >
        {t("members.remove.text")}
      </Confirm>
    </>
  );
}

function Invite({ onClose, onToken }: { onClose: () => void; onToken: (token: string) => void }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("developer");
  const owner = useMay("owner");
  const make = useMutation({
    mutationFn: () => data(api.POST("/v1/members", { body: { email, role } })),
    onSuccess: (made) => {
      void queries.invalidateQueries({ queryKey: ["members"] });
      onToken(made.invitationToken ?? "");
    },
  });
  const wrong = make.error instanceof ApiError ? make.error : undefined;
  return (
    <Dialog title={t("members.invite")} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
        <TextField label={t("email")} type="email" value={email} onChange={setEmail} required autoFocus wrong={wrong?.of("email")} />
        <SelectField label={t("members.role")} hint={t(`role.${role}.text`)} value={role} onChange={(id) => setRole(id as Role)} choices={roles(owner)} />
        <Failure error={make.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={make.isPending}>{t("members.invite")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
