// Nodes that renew certificates of a fake authority, over one store and by a clock that moves by hand.

import { randomBytes } from "node:crypto";

import { pino } from "pino";

import { RenewalInfo } from "../../src/certs/renewal-info.ts";
import { Renewer } from "../../src/certs/renewer.ts";
import { Secret } from "../../src/certs/secret.ts";
import { Vault } from "../../src/certs/vault.ts";
import { MemoryStore } from "../../src/state/memory-store.ts";
import { eventually } from "../support/eventually.ts";
import { FakeAcme, type FakeAcmeOptions } from "../support/fake-acme.ts";
import { FakeCa } from "../support/fake-ca.ts";
import { openIssuer } from "./acme/fixtures.ts";
import { ManualClock } from "./fixtures.ts";

export interface RigOptions extends Omit<FakeAcmeOptions, "now"> {
  readonly declared?: readonly string[];
  readonly nodes?: number;
  readonly hasStaging?: boolean;
  readonly newNamesPerWeek?: number;
  readonly random?: () => number;
}

export interface RigNode {
  readonly vault: Vault;
  readonly renewer: Renewer;
  readonly orders: readonly { readonly directory: string; readonly result: string }[];
  stop(): Promise<void>;
}

interface Line {
  readonly msg: string;
  readonly hostname?: string;
  readonly explanationUrl?: string;
}

const SECRET = randomBytes(32).toString("base64");
/** Looks at the authority so much more often than in earnest. */
const PACE = 0.02;
/** Every rig begins at the same time. */
const ca = await FakeCa.create(new ManualClock().now());

export class Rig implements AsyncDisposable {
  readonly clock: ManualClock;
  readonly store = new MemoryStore();
  readonly declared = new Set<string>();
  readonly nodes: RigNode[] = [];
  readonly lines: Line[] = [];
  readonly fake: FakeAcme;
  readonly staging: FakeAcme | null;
  readonly #options: RigOptions;

  private constructor(clock: ManualClock, fake: FakeAcme, staging: FakeAcme | null, options: RigOptions) {
    this.clock = clock;
    this.fake = fake;
    this.staging = staging;
    this.#options = options;
    for (const name of options.declared ?? []) this.declared.add(name);
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const clock = new ManualClock();
    const fake = await FakeAcme.start({ ca, ...options, now: clock.now });
    const staging = options.hasStaging === true ? await FakeAcme.start({ now: clock.now }) : null;
    const rig = new Rig(clock, fake, staging, options);
    for (let count = 0; count < (options.nodes ?? 1); count++) await rig.addNode();
    return rig;
  }

  get node(): RigNode {
    return this.nodes[0]!;
  }

  async addNode({ directory = this.fake.directory }: { readonly directory?: string } = {}): Promise<RigNode> {
    const { clock, store, declared, staging } = this;
    const { newNamesPerWeek = 0, random = Math.random } = this.#options;
    const log = pino({ level: "debug" }, { write: (line) => void this.lines.push(JSON.parse(line) as Line) });
    const secret = await Secret.open({ path: "", environment: SECRET, isInUse: async () => false, log });
    const vault = new Vault({ store, secret, onChanged: () => renewer.onCertificates(), log, now: clock.now });
    const issuer = await openIssuer({
      directory,
      publishers: new Map([["http-01", { publish: async () => {}, withdraw: async () => {} }]]),
      store,
      sealer: secret,
      log,
      now: clock.now,
      pace: PACE,
    });
    const orders: { directory: string; result: string }[] = [];
    const renewer: Renewer = new Renewer({
      store,
      vault,
      authority: issuer,
      directory,
      staging: staging === null || staging.directory === directory ? null : staging.directory,
      info: new RenewalInfo({
        directory,
        get: (url, signal) => issuer.transport.send({ method: "GET", url, signal }),
        now: clock.now,
      }),
      onOrder: (order) => void orders.push(order),
      declared: () => declared,
      isOrderable: (name) => !name.endsWith(".localhost"),
      newNamesPerWeek,
      log,
      now: clock.now,
      random,
      startTimer: clock.startTimer,
      settleMs: 0,
    });
    await vault.load();
    const stopping = new AbortController();
    const running = Promise.all([vault.run(stopping.signal), renewer.run(stopping.signal)]);
    running.catch(() => {});
    const stop = async (): Promise<void> => {
      stopping.abort();
      await running;
      await issuer.close();
    };
    const node = { vault, renewer, orders, stop };
    this.nodes.push(node);
    return node;
  }

  async until(isSo: () => boolean, what = "the renewer"): Promise<void> {
    await eventually(isSo, what);
  }

  /** Resolves when these names have certificates that are planned for. */
  async planned(...names: string[]): Promise<void> {
    await this.until(() => names.every((name) => this.#isPlanned(name)), "certificates with plans");
  }

  /** Declares other names than before. */
  declare(...names: string[]): void {
    this.declared.clear();
    for (const name of names) this.declared.add(name);
    for (const { renewer } of this.nodes) renewer.onDeclared();
  }

  messages(text: string): Line[] {
    return this.lines.filter(({ msg }) => msg.includes(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map(({ stop }) => stop()));
    await this.fake[Symbol.asyncDispose]();
    await this.staging?.[Symbol.asyncDispose]();
    await this.store.close();
  }

  #isPlanned(name: string): boolean {
    const { vault, renewer } = this.node;
    const own = vault.acme(name);
    return own !== null && renewer.plan(name)?.fingerprint === own.fingerprint;
  }
}
