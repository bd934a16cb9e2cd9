import { Link, useRouter } from "@tanstack/react-router";
import { Button, Failure } from "../parts/basic";
import { t } from "../words";

export function NotFound() {
  return (
    <div className="page">
      <h1>{t("wrong.page")}</h1>
      <p>
        <Link to="/">{t("nav.home")}</Link>
      </p>
    </div>
  );
}

export function Crash({ error, reset }: { error: unknown; reset: () => void }) {
  const router = useRouter();
  return (
    <div className="page stack">
      <h1>{t("wrong.title")}</h1>
      <Failure error={error} />
      <div>
        <Button
          onPress={() => {
            reset();
            void router.invalidate();
          }}
        >
          {t("wrong.again")}
        </Button>
      </div>
    </div>
  );
}
