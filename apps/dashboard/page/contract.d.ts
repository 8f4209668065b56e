// What the server says, as the page sees it: `/api/v1` and its stream. For the type checker only.

export type Status = "joining" | "alive" | "suspected" | "failed" | "left";

export interface Named { id: string; short: string; name: string }

export interface Node extends Named {
  self: boolean;
  status: Status;
  member: boolean;
  addresses: string[];
  ip: string | null;
  port: number | null;
  zone: string | null;
  labels: Record<string, string>;
  rtt_ms: number | null;
  cpu: number | null;
  memory: number | null;
  calls: number;
  functions: number;
  version: string | null;
  incarnation: string;
  since: string;
  reason: string | null;
  colour: number;
}

export interface View {
  lineage: string;
  epoch: string;
  active: boolean;
  isolated: boolean;
  members: (Named & { incarnation: string })[];
}

export interface Failure {
  code: string;
  message: string;
  next: string | null;
  outcome?: "not_applied" | "applied" | "unknown";
  /** Where to sign in, if a password is asked for. */
  login?: string;
}

export interface Self {
  node: Node;
  cluster: string;
  pid: number;
  started: string | null;
  uptime_s: number | null;
  version: string;
  url: string;
  runtime_dir: string | null;
  view: View | null;
  resources: Resources | null;
  ticket: string | null;
}

export interface Sees {
  nodes: Named[];
  rows: { observer: string; sees: (boolean | null)[] }[];
  disagreements: { a: string; b: string; text: string }[];
}

export interface Resources {
  node: string;
  name: string;
  error?: Failure;
  address: string;
  installed_bytes: number;
  available_bytes: number;
  memory_load: number;
  cpu_usage: number | null;
  cores: number;
  process_cpu: number | null;
  process_memory_bytes: number;
  calls: number;
  uptime_s: number;
  os: string;
  pid: number;
  version: string;
}

/** When, CPU, memory, calls. */
export type Sample = [number, number | null, number | null, number | null];

export interface Func {
  name: string;
  signature: string;
  docs: string;
  once: boolean;
  nodes: string[];
  calls: null | { count: number; errors: number; p50_ms: number | null; p95_ms: number | null };
}

/** A node, and what it is called. */
export interface At { node: string; name: string | null }

export interface Mutex {
  name: string;
  holder: null | (At & { fence: string; since: string });
  token: At | null;
  waiters: (At & { count: number })[];
  waiting: number;
}

export interface Variable {
  name: string;
  version: string;
  kind: string;
  shape: string | null;
  bytes: number;
  /** Not there if it is long, or nobody says what its type looks like. */
  value?: unknown;
  homes: At[];
  copies: number;
  degraded: boolean;
}

export interface VariableValue {
  name: string;
  version: string;
  kind: string;
  shape: string | null;
  bytes: number;
  value?: unknown;
  /** Instead of a value that nobody can show. */
  base64?: string;
}

export interface Answer {
  result?: unknown;
  /** Of a call on all nodes: what one of them returned. */
  ok?: unknown;
  error?: Failure;
  node?: string;
  name?: string;
  elapsed_ms?: number;
  progress?: number;
  items?: Answer[];
}

export interface Happening {
  seq: number;
  at: string;
  event: string;
  node: Named | null;
  reason: string | null;
  text: string;
}

export type Level = "error" | "warn" | "info" | "debug" | "trace";

export interface Line {
  node: string;
  name: string;
  seq: number;
  at: string;
  level: Level;
  target: string;
  message: string;
  fields: Record<string, unknown>;
}

export interface Other { name: string; url: string }

export interface Hello { self: Node; cluster: string; version: string; others: Other[] }
