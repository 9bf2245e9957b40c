// The page's data, as `payload.py` writes it: trials by columns, one entry per trial in every list without a note.

/** A number by trial; null where the trial has none. */
export type Column = (number | null)[];

/** The whole of it. */
export interface Payload {
  id: string;
  /** What is optimised; the first decides about ranks and colours. */
  objectives: Objective[];
  /** The names of the states; `state` refers to them. */
  states: string[];
  /** One per parameter that varies, the most important first. */
  axes: Axis[];
  state: number[];
  /** One column per objective. */
  values: Column[];
  /** The places of the trials that can be the best, in their order: the best first. */
  ranked: number[];
  step: Column;
  reports: number[];
  /** Seconds since the first trial began. */
  began: Column;
  /** Seconds since the first trial began. */
  ended: Column;
  /** An error or a reason by trial; most trials have none. */
  said: Record<string, string>;
  where: string[];
  /** What is wrong, by trial; most trials have nothing. */
  flags: Record<string, Flag[]>;
  /** By trial that was looked at: most memory (GiB), how busy its GPUs were (%), most GPU memory (GiB), CPU cores. */
  use: Record<string, (number | null)[]>;
  /** The trials that no other beats; empty with one objective. */
  front: number[];
  curves: Curves;
  /** One per GPU or slot. */
  lanes: Lane[];
}

/** A metric; with `sign` -1 larger is better. */
export interface Objective {
  name: string;
  sign: number;
}

/** A parameter: of numbers, or of labels. */
export type Axis = NumberAxis | LabelAxis;

/** A parameter of numbers between two ends. */
export interface NumberAxis {
  name: string;
  log: boolean;
  low: number;
  high: number;
  labels?: undefined;
  values: Column;
}

/** A parameter of labels; a trial's value is the place of its label. */
export interface LabelAxis {
  name: string;
  log?: undefined;
  low?: undefined;
  high?: undefined;
  labels: string[];
  values: Column;
}

/** One thing that is wrong with a trial, and what shows it. */
export interface Flag {
  name: string;
  evidence: string;
}

/** Learning curves; many trials share their positions. */
export interface Curves {
  positions: number[][];
  /** By trial: which positions, and the value at each. */
  by_trial: Record<string, [number, (number | null)[]]>;
}

/** A GPU or slot with what ran there: trial, begin and end in seconds. */
export interface Lane {
  name: string;
  bars: [number, number, number][];
}
