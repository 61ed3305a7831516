// The page that a browser gets while a machine wakes: it shows how far that is, listens at WAKE_PATH (wake-stream.ts), and loads itself anew when
// the app can answer. Nothing on it comes from elsewhere. Without scripts it loads itself anew every few seconds.

import { createHash } from "node:crypto";

import { escapeHtml } from "./error-pages.ts";

export interface WaitFacts {
  readonly app: string;
  /** How long the wake is still expected to take; 0 when it takes longer than that. */
  readonly leftMs: number;
  /** How long it has taken. */
  readonly elapsedMs: number;
  readonly requestId: string;
}

/** The edge's own path on every host of an app with `wait_page` (RFC 8615). */
export const WAKE_PATH = "/.well-known/kittiwake/wake";

/** Browsers without scripts ask again after at most so many seconds. */
export const MOST_REFRESH_S = 5;

const STYLE = `:root{color-scheme:light dark;--ink:#1c2733;--soft:#5b6b7b;--paper:#f6f8fa;--card:#fff;--line:#dfe5eb;--go:#1f7a8c}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#93a1b0;--paper:#0f161d;--card:#17212b;--line:#2a3744;--go:#5cc3d6}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:1.25rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:27rem;padding:2rem 1.75rem;background:var(--card);border:1px solid var(--line);border-radius:1rem}
h1{margin:0 0 .35rem;font-size:1.35rem;line-height:1.3;overflow-wrap:anywhere}
p{margin:0;color:var(--soft)}
progress{display:block;width:100%;height:.5rem;margin:1.5rem 0 .75rem;border:0;border-radius:1rem;overflow:hidden;background:var(--line);
accent-color:var(--go);appearance:none;-webkit-appearance:none}
progress::-webkit-progress-bar{background:var(--line)}
progress::-webkit-progress-value{background:var(--go);border-radius:1rem;transition:width .3s linear}
progress::-moz-progress-bar{background:var(--go);border-radius:1rem}
#left{font-variant-numeric:tabular-nums;color:var(--ink)}
a{color:var(--go)}
footer{margin-top:1.5rem;font-size:.8rem;color:var(--soft);overflow-wrap:anywhere}
code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace}
[hidden]{display:none}
@media (prefers-reduced-motion:reduce){progress::-webkit-progress-value{transition:none}}`;

const SCRIPT = `(() => {
  const at = (id) => document.getElementById(id);
  const { left, elapsed } = document.body.dataset;
  let leftMs = Number(left), elapsedMs = Number(elapsed);
  let toldAt = performance.now(), isOver = false;
  const since = () => performance.now() - toldAt;
  const events = new EventSource(${JSON.stringify(WAKE_PATH)});
  const end = () => { isOver = true; events.close(); clearInterval(timer); };
  // Never sooner than a second after it came: whatever is wrong, this is no loop.
  const reload = (ms) => { end(); setTimeout(() => location.reload(), Math.max(ms, 1000 - performance.now())); };
  const draw = () => {
    const restMs = leftMs - since();
    const share = (elapsedMs + since()) / (elapsedMs + leftMs || 1);
    at("bar").value = share < 0.9 ? share : 1 - 0.1 * Math.exp(9 - 10 * share);
    const s = Math.ceil(restMs / 1000);
    at("left").textContent = s > 0 ? "About " + s + (s === 1 ? " second" : " seconds") + " left" : "Almost there\\u2026";
    if (since() > 10000) reload(0);
  };
  const timer = setInterval(draw, 200);
  events.addEventListener("progress", ({ data }) => {
    const told = JSON.parse(data);
    leftMs = told.left_ms; elapsedMs = told.elapsed_ms; toldAt = performance.now();
    draw();
  });
  events.addEventListener("ready", () => { at("bar").value = 1; at("left").textContent = "Ready"; reload(0); });
  events.addEventListener("failed", ({ data }) => {
    end();
    at("going").hidden = true;
    at("failed").hidden = false;
    at("code").textContent = JSON.parse(data).code;
    document.title = at("title").textContent = at("failed").dataset.title;
  });
  events.addEventListener("error", () => { if (!isOver && events.readyState === 2) reload(3000); });
  draw();
})();`;

/** Nothing may be loaded, framed or sent from the page; its script may listen on its own host. */
export const WAIT_PAGE_POLICY =
  `default-src 'none'; style-src 'sha256-${hash(STYLE)}'; script-src 'sha256-${hash(SCRIPT)}'; ` +
  "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function waitPage({ app, leftMs, elapsedMs, requestId }: WaitFacts): string {
  const name = escapeHtml(app);
  const refreshS = Math.min(Math.ceil(leftMs / 1000) + 1, MOST_REFRESH_S);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<noscript><meta http-equiv="refresh" content="${refreshS}"></noscript>
<link rel="icon" href="data:,">
<title>Waking ${name}</title>
<style>${STYLE}</style>
</head>
<body data-left="${Math.round(leftMs)}" data-elapsed="${Math.round(elapsedMs)}">
<main>
<h1 id="title">Waking ${name}</h1>
<div id="going">
<p>It sleeps while nobody needs it. This page opens it by itself.</p>
<progress id="bar" max="1" aria-label="Progress"></progress>
<p id="left" role="status"></p>
</div>
<div id="failed" data-title="${name} did not wake" hidden>
<p>Error <code id="code"></code>. <a href="">Try again</a> in a while; if it stays so, tell the owner of this site.</p>
</div>
<footer>Request <code>${escapeHtml(requestId)}</code></footer>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
