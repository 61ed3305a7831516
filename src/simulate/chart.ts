// The course of a simulated day as a picture: requests, and machines awake beside all there are. An SVG file that needs nothing else.

import type { Summary } from "./tally.ts";

const WIDTH = 960;
const HEIGHT = 240;
const GAP = 56;
const LEFT = 64;
const TOP = 40;
const HOUR_MS = 3_600_000;
const STYLE = "font: 13px system-ui, sans-serif; fill: #333";

/** @param title one line, for people */
export function drawChart(title: string, { course, alwaysOnHours }: Summary): string {
  const partHours = ((course[1]?.fromMs ?? HOUR_MS) - (course[0]?.fromMs ?? 0)) / HOUR_MS;
  const machines = Math.round(alwaysOnHours / (partHours * course.length));
  const perHour = course.map(({ requests }) => requests / partHours);
  const panels = [
    panel(0, "requests an hour", perHour, Math.max(1, ...perHour), "#2a7ab8"),
    panel(
      1,
      `machines awake, of ${machines}`,
      course.map(({ awake }) => awake),
      machines,
      "#c65d21",
    ),
  ];
  const bottom = TOP + 2 * HEIGHT + GAP;
  const hours = Array.from({ length: 9 }, (_, i) => {
    const hour = (i / 8) * partHours * course.length;
    return `<text x="${LEFT + (i / 8) * WIDTH}" y="${bottom + 20}" text-anchor="middle" style="${STYLE}">${Number(hour.toFixed(1))} h</text>`;
  });
  const size = `width="${LEFT + WIDTH + 24}" height="${bottom + 36}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`,
    `<title>${escapeText(title)}</title>`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="${LEFT}" y="20" style="${STYLE}; font-weight: 600">${escapeText(title)}</text>`,
    ...panels,
    ...hours,
    "</svg>",
    "",
  ].join("\n");
}

function panel(index: number, name: string, values: readonly number[], most: number, colour: string): string {
  const top = TOP + index * (HEIGHT + GAP);
  const bottom = top + HEIGHT;
  const step = WIDTH / values.length;
  const points = values.map((value, i) => {
    const y = (bottom - (value / most) * (HEIGHT - 24)).toFixed(1);
    return `${(LEFT + i * step).toFixed(1)},${y} ${(LEFT + (i + 1) * step).toFixed(1)},${y}`;
  });
  const area = `${LEFT},${bottom} ${points.join(" ")} ${LEFT + WIDTH},${bottom}`;
  return [
    `<text x="${LEFT}" y="${top + 12}" style="${STYLE}">${escapeText(name)}</text>`,
    `<polygon points="${area}" fill="${colour}" fill-opacity="0.35" stroke="${colour}"/>`,
    `<line x1="${LEFT}" y1="${bottom}" x2="${LEFT + WIDTH}" y2="${bottom}" stroke="#333"/>`,
    `<text x="${LEFT - 8}" y="${top + 30}" text-anchor="end" style="${STYLE}">${Number(most.toFixed(most < 10 ? 1 : 0))}</text>`,
    `<text x="${LEFT - 8}" y="${bottom}" text-anchor="end" style="${STYLE}">0</text>`,
  ].join("\n");
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
