// What the server sends to live pages, as the topics in `orchestrator/serve` write it.

import type { Curves, Flag, Lane, Payload } from "../../reporting/page/scripts/payload.d.ts";

/** A number of seconds, or none. */
type Seconds = number | null;

/** What stands at the top of a sweep's page. */
export interface Headline {
  id: string;
  name: string;
  state: string;
  reason: string;
  what: string;
  about: string;
  words: string;
  created: number;
  now: number;
  /** Whether a controller runs it. */
  lives: boolean;
  counts: Record<string, number>;
  total: number | null;
  slots: number | null;
  elapsed_s: number;
  eta_s: Seconds;
  eta_range_s: [number, number] | null;
  problem: string;
  running: { trial: number; elapsed_s: Seconds; ending: string }[];
  notes: string[];
  damage: string[];
  limits: Record<string, number | null>;
}

/** A whole sweep. */
export interface SweepState {
  data: Payload;
  head: Headline;
  /** HTML of what the report has as well; null until it was computed. */
  sections: string | null;
}

/** What changed of a trial; `at` has its parameters, if it is new. */
export interface Row {
  i: number;
  trial: number;
  state: number;
  values: (number | null)[];
  step: number | null;
  reports: number;
  began: Seconds;
  ended: Seconds;
  said: string | null;
  where: string;
  at?: (number | string | null)[];
}

/** What changed of a sweep. */
export interface SweepChange {
  rows?: Row[];
  ranked?: number[];
  front?: number[];
  /** Those of all trials so far. */
  all_curves?: Curves;
  /** By trial, positions and values. */
  curves?: Record<string, [number[], (number | null)[]]>;
  flags?: Record<string, Flag[]>;
  use?: Record<string, (number | null)[]>;
  lanes?: Lane[];
  head?: Headline;
  sections?: string;
}

/** One sweep in the list. */
export interface Line {
  id: string;
  name: string;
  state: string;
  reason: string;
  created: number;
  counts: Record<string, number>;
  total: number | null;
  metric: string;
  sign: number;
  best: number | null;
  best_trial: number | null;
  spark: number[];
  tags: string[];
  about: string;
  damage: string;
}

/** All sweeps of a runs directory. */
export interface IndexState {
  runs: string;
  sweeps: Line[];
}

/** A line: positions and values. */
export type Curve = [number[], (number | null)[]];

/** A metric with a line per trial; null for a trial that has not reported it. */
export interface MetricChart {
  name: string;
  lines: (Curve | null)[];
}

/** A trial. */
export interface TrialState {
  now: number;
  sweep: { id: string; name: string; state: string };
  trial: {
    number: number;
    state: string;
    values: [string, number | null][];
    best: boolean;
    reached: string;
    why: string;
    /** Tags and note. */
    words: string;
    rows: number;
    began: Seconds;
    ended: Seconds;
    where: string;
    directory: string;
    may: string[];
  };
  /** The best trial, or the next one, if this is the best. */
  other: number | null;
  /** What it uses: a sentence, empty where nobody looked, and curves by the seconds of its latest attempt. */
  use: { said: string; charts: MetricChart[] };
  /** Name, value, the other's value. */
  config: [string, string | null, string | null][];
  flags: Flag[];
  attempts: {
    attempt: number;
    started: Seconds;
    ended: Seconds;
    host: string;
    gpus: string[];
    pid: number | null;
    cause: string;
    said: string;
    exit: string;
  }[];
  /** Time, what, why. */
  decisions: [number, string, string][];
  charts: MetricChart[];
  /** Command, and what it does. */
  commands: [string, string][];
  log: { text: string; left_out: number };
  files: { files: { name: string; bytes: number | null; kind: string }[]; n: number; bytes: number; whole: boolean };
}

/** Trials side by side. */
export interface CompareState {
  trials: { sweep: string; name: string; trial: number; state: string }[];
  differences: { group: string; name: string; values: string[] }[];
  charts: MetricChart[];
}
