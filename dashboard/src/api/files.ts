// Files that the server makes and the browser keeps.
import { t } from "../words";
import { toast } from "../parts/toasts";
import { fetched } from "./client";

/** By a request and not by a link, which would save a refusal as if it were the file. The browser
    keeps large ones on its disk. Throws `ApiError`. */
export async function save(path: string, given: Record<string, string | undefined>, name: string): Promise<void> {
  const query = new URLSearchParams(Object.entries(given).filter((pair): pair is [string, string] => pair[1] !== undefined));
  toast(t("export.begun"));
  const made = await fetched(`${path}?${query}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await made.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
