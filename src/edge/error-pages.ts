// An app's own pages for errors, taken apart once so that filling one in is only putting it together.

export interface PageFacts {
  readonly status: number;
  readonly code: string;
  readonly requestId: string;
}

const PLACEHOLDER = /\{\{ *(code|request_id|status) *\}\}/;

/** Text and names of placeholders by turns, text first and last. */
type Template = readonly string[];

export class ErrorPages {
  readonly #templates: ReadonlyMap<string, Template>;

  /** @param pages HTML by status ("503"), by class ("5xx"), or for all others ("default") */
  constructor(pages: Readonly<Record<string, string>>) {
    this.#templates = new Map(Object.entries(pages).map(([key, html]) => [key, html.split(PLACEHOLDER)]));
  }

  /** The page for a failure; null where the app has none. */
  page(facts: PageFacts): string | null {
    const { status } = facts;
    const templates = this.#templates;
    const template = templates.get(`${status}`) ?? templates.get(`${Math.trunc(status / 100)}xx`) ?? templates.get("default");
    return template?.map((part, index) => (index % 2 === 0 ? part : escapeHtml(value(part, facts)))).join("") ?? null;
  }
}

/** Safe in text and in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function value(placeholder: string, { status, code, requestId }: PageFacts): string {
  if (placeholder === "status") return `${status}`;
  return placeholder === "code" ? code : requestId;
}
