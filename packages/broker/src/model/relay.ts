/**
 * What nodes tell each other beside the log: messages that skip the order (architecture section 3.6), and how far they were
 * taken. Nothing of it has a place, and nothing of it is kept: over one link it arrives in the order in which it was sent, each
 * once; when the link ends, what was on its way is lost. What the bytes mean is `ordering/relay.ts`'s business.
 */

export type RelayKind = 'messages' | 'taken'

/** The way to the other nodes, by their indices in the current book. */
export interface RelayLinks {
  /** Puts bytes in the line of a node; nothing happens where there is no link. */
  send(to: number, kind: RelayKind, bytes: Uint8Array): void
  /** Lets go what was put in lines: once per turn of the event loop. */
  flush(): void
  /** Ends the link with a node that broke the rules. */
  drop(node: number, why: string): void
}

/** Who takes what comes from other nodes. Nothing that they send may make it throw. */
export interface RelayReceiver {
  /** The link with a node came up, or ended. */
  linked(node: number, up: boolean): void
  /** Answers what the sender did wrong, in words, for which its link ends; undefined: nothing. */
  relayed(from: number, kind: RelayKind, bytes: Uint8Array): string | undefined
}
