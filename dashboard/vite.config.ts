import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const OUT = "../src/chorus/web/static";

// Compressed once here rather than at each request; the server only reads what is there.
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      for (const name of readdirSync(OUT, { recursive: true, encoding: "utf8" })) {
        const path = join(OUT, name);
        if (!/\.(js|css|html|svg)$/.test(name) || statSync(path).size < 1024) continue;
        const body = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(body, { params }));
      }
    },
  };
}

export default defineConfig({
  base: "/dashboard/",
  plugins: [react(), compressed()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false }, // it would be an inline script, which the policy forbids
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    // Each file costs a telephone a round trip, and it asks for six at a time: what every page needs is
    // one file, and what several of them share is another.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "first", tags: ["$initial"], priority: 1 },
            { name: "shared", test: /src\/(api|parts)\/(?!prompt|difference)/, minShareCount: 2 },
          ],
        },
      },
    },
  },
  // `npm run dev` beside a server on its usual port. The client of calls is beside this folder.
  server: { fs: { allow: [".."] }, proxy: { "/browser": { target: "http://127.0.0.1:8000", ws: true }, "/v1": "http://127.0.0.1:8000", "/docs": "http://127.0.0.1:8000", "/recordings": "http://127.0.0.1:8000" } },
});
