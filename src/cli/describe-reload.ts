// A reload in words, for the command that asked for it and for the terminal that the node runs in.

/** As NodeControl and the admin API have it. */
interface ReloadOutcome {
  readonly applied: boolean;
  readonly messages: readonly string[];
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** The outcome in one line, then what there is to say about it. */
export function describeReload(outcome: ReloadOutcome): string[] {
  return [headline(outcome), ...outcome.messages.map((message) => `  ${message}`)];
}

function headline({ applied, added, changed, removed }: ReloadOutcome): string {
  if (!applied) return "not reloaded: the old configuration stays in force";
  const parts = Object.entries({ added, changed, removed }).filter(([, names]) => names.length > 0);
  if (parts.length === 0) return "reloaded: no app has changed";
  return `reloaded: ${parts.map(([what, names]) => `${what} ${names.join(", ")}`).join("; ")}`;
}
