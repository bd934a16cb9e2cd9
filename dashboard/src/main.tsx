import { QueryClientProvider } from "@tanstack/react-query";
import { type AnyRoute, RouterProvider } from "@tanstack/react-router";
import { StrictMode, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { I18nProvider } from "react-aria-components/I18nProvider";
import { askAhead } from "./api/ahead";
import { queries } from "./api/session";
import { Again } from "./pages/again";
import { Toasts } from "./parts/toasts";
import { router } from "./router";
import { applyTheme } from "./theme";
import { locale, preferred, speak, subscribe } from "./words";

function App() {
  const language = useSyncExternalStore(subscribe, locale);
  return (
    <I18nProvider locale={language} key={language}>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
        <Again />
        <Toasts />
      </QueryClientProvider>
    </I18nProvider>
  );
}

applyTheme();
// Who asks, the page's code, what it shows and the words of the language are fetched side by side.
const routes: Record<string, AnyRoute> = router.routesById;
const matches = router.matchRoutes(router.latestLocation);
for (const { routeId } of matches) void router.loadRouteChunk(routes[routeId as string]!);
void router.load();
const page = matches.at(-1);
if (page) askAhead(page.fullPath, page.params.id, page.search);
void speak(preferred()).then(() => {
  const root = document.getElementById("root");
  if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
});
