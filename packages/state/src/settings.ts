/**
 * What the machine is told once. Every replica must be told the same: these values decide what commands do (architecture
 * section 3.8).
 */

export interface MachineSettings {
  /** Longest session expiry in seconds; longer requests are lowered to it. 2^32-1: never expires. */
  readonly sessionExpirySecondsMax: number
  /** Sessions at once; above, CONNECT of a new client identifier is refused with 0x97. */
  readonly sessionsMax: number
  /** Subscriptions of one session; above, SUBSCRIBE is answered with 0x97. */
  readonly subscriptionsMax: number
  /** Entries in one session's queue. */
  readonly queueMessagesMax: number
  /** Bytes that one session's queue refers to. */
  readonly queueBytesMax: number
  /** Bytes that all queues together refer to; above, a publish that would be queued is refused with 0x97. */
  readonly queuesBytesMax: number
  /**
   * What a full queue does. `dropOldest` drops what surely was not sent; while the client is connected, or when there is
   * nothing of that kind, the new message is dropped.
   */
  readonly queueFull: 'dropNewest' | 'dropOldest'
  readonly shareStrategy: 'roundRobin' | 'leastInflight' | 'stickyByPublisher' | 'random'
  /** For the share strategy `random`; an integer below 2^32. */
  readonly seed: number
  /** Retained messages; above, a publish that would retain one more is refused with 0x97, and a will is not retained. */
  readonly retainedMessagesMax: number
  /** Bytes of all retained messages; the same. */
  readonly retainedBytesMax: number
  /** Bytes of one retained message; the same. */
  readonly retainedMessageBytesMax: number
  /** `prefix`: `$direct/<clientId>`; `bare`: in addition a topic equal to a client identifier. */
  readonly directMessages: 'off' | 'prefix' | 'bare'
  /** Levels of a topic or filter. */
  readonly topicLevelsMax: number
  /**
   * How many settlements a node may know and not have submitted when it sends on: the set that may have been sent after a
   * crash is the first `receiveMaximum` plus this many entries.
   */
  readonly settlementLagMax: number
  /** In a cluster: how long a node is silent, by the time of the order, before its connections end as lost. */
  readonly nodeTimeoutMs: number
  /** Whether many nodes apply the same commands: what one of them has on its disk then decides nothing. */
  readonly replicated: boolean
  /** Those who apply the same commands are threads of one process: they begin and end together, and have one disk. */
  readonly threads: boolean
  /** False: no hash and no snapshot, and no cost of them. */
  readonly hashing: boolean
  /** SHA-256 of bytes, where the host has a faster one. Default: the one here. */
  readonly sha256?: (bytes: Uint8Array) => Uint8Array
  /** Whether it is kept in mind what a disk does not have yet (`saving/`). */
  readonly durable: boolean
}

/** Settings with everything that is not given at its default. */
export function machineSettings(given: Partial<MachineSettings> = {}): MachineSettings {
  return {
    sessionExpirySecondsMax: 0xffff_ffff,
    sessionsMax: 10_000_000,
    subscriptionsMax: 100_000,
    queueMessagesMax: 100_000,
    queueBytesMax: 256 * 1024 * 1024,
    queuesBytesMax: 8 * 1024 * 1024 * 1024,
    queueFull: 'dropNewest',
    shareStrategy: 'roundRobin',
    seed: 0,
    retainedMessagesMax: 1_000_000,
    retainedBytesMax: 1024 * 1024 * 1024,
    retainedMessageBytesMax: 268_435_460,
    directMessages: 'off',
    topicLevelsMax: 128,
    settlementLagMax: 256,
    nodeTimeoutMs: 10_000,
    replicated: false,
    threads: false,
    hashing: true,
    durable: false,
    ...given,
  }
}
