/** What a scenario is, and what a bar. */
export type Transport = 'tcp' | 'tls' | 'websocket'

export type Bar =
  /** Ours over the fastest peer's. */
  | { readonly kind: 'times'; readonly figure: string; readonly of: string; readonly min: number }
  /** Ours over the cheapest peer's. */
  | { readonly kind: 'share'; readonly figure: string; readonly of: string; readonly max: number }
  | { readonly kind: 'at least'; readonly figure: string; readonly of: string; readonly min: number }
  | { readonly kind: 'at most'; readonly figure: string; readonly of: string; readonly max: number }
  /** Ours minus that of the peer whose name begins so. */
  | {
      readonly kind: 'above peer'
      readonly peer: string
      readonly figure: string
      readonly of: string
      readonly max: number
    }
  /** Ours over ours of another scenario. */
  | {
      readonly kind: 'of scenario'
      readonly scenario: string
      readonly figure: string
      readonly of: string
      readonly min: number
    }
  /** The same, for what should be little. */
  | {
      readonly kind: 'share of scenario'
      readonly scenario: string
      readonly figure: string
      readonly of: string
      readonly max: number
    }

export interface Scenario {
  readonly name: string
  /** Scenarios of one group share a table and a chart. */
  readonly group: string
  /** For mqload. */
  readonly args: readonly string[]
  /** Loads that come first, at the same broker. */
  readonly before?: readonly (readonly string[])[]
  readonly transport?: Transport
  readonly bars: readonly Bar[]
  /** The broker starts afresh: what is measured is memory, or it keeps much. */
  readonly fresh?: boolean
  /** Threads of ours, on the one core that every broker has here; absent: one. It starts afresh then. */
  readonly workers?: number
  /** Only ours is measured: there is no peer's figure to compare with, or it would take too long. */
  readonly alone?: boolean
  /** Only in the first round. */
  readonly once?: boolean
  /** Open files that broker and load need each, beyond what every machine gives. */
  readonly files?: number
  /** Of a curve. */
  readonly x?: number
}
