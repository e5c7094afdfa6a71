/**
 * Errors the broker throws or rejects with at its caller, and the one table of their codes. The table carries the remedy,
 * so that a message always names the value, the rule and what to do, and so that the reference page can be generated.
 * What a remote party does wrong is never one of these: that is a value with a reason code.
 */

interface ErrorKind {
  /** What to do about it; becomes the end of every message with this code. */
  readonly remedy: string
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean
}

/** Every code of this package. */
export const errorKinds = {
  CMQ_OPTIONS: { remedy: 'correct the listed options', retryable: false },
  CMQ_ADDRESS_IN_USE: { remedy: 'stop the other program or choose another address', retryable: true },
  CMQ_ADDRESS_FORBIDDEN: {
    remedy: 'choose a port of 1024 or above, a writable folder, or run with the right',
    retryable: false,
  },
  CMQ_ADDRESS_UNAVAILABLE: { remedy: 'use an address of this machine', retryable: true },
  CMQ_LISTEN_FAILED: { remedy: 'see the cause', retryable: true },
  CMQ_TLS_CERTIFICATE: { remedy: 'give a PEM certificate chain, the server certificate first', retryable: false },
  CMQ_TLS_KEY: { remedy: 'give the PEM private key without passphrase', retryable: false },
  CMQ_TLS_KEY_MISMATCH: { remedy: 'give the key the certificate was made with', retryable: false },
  CMQ_TLS_CA: { remedy: 'give the PEM roots that issue client certificates', retryable: false },
  CMQ_TLS_RELOAD: { remedy: 'close the listener and open it with the new settings', retryable: false },
  CMQ_LISTENER_CLOSED: { remedy: 'open the listener again', retryable: false },
  CMQ_PASSWORD_RECORD: {
    remedy: 'make the record with makePasswordRecord() or `concordmq user generate`',
    retryable: false,
  },
  CMQ_TOKENS: {
    remedy: 'give a JWK Set, PEM public keys or a secret, and correct the listed options',
    retryable: false,
  },
  CMQ_SCRAM_RECORD: {
    remedy: 'make the record with makeScramRecord() or `concordmq user add --scram`',
    retryable: false,
  },
  CMQ_ADDRESS_RULES: { remedy: 'correct the listed addresses', retryable: false },
  CMQ_PERMISSIONS: { remedy: 'correct the listed rules', retryable: false },
  CMQ_PASSWORD: { remedy: 'choose another password', retryable: false },
  CMQ_DATA_LOCKED: { remedy: 'stop the other broker, or give this one a directory of its own', retryable: true },
  CMQ_DATA_FORMAT: { remedy: 'use the version that wrote it, or another directory', retryable: false },
  CMQ_DATA_DAMAGED: {
    remedy:
      'see what `concordmq data check` finds, restore a copy, or let `concordmq data repair` give up what is damaged',
    retryable: false,
  },
  CMQ_DATA_UNUSABLE: { remedy: 'see that the directory exists, can be written to and has room', retryable: true },
  CMQ_DATA_ABSENT: { remedy: 'name the data directory of a node', retryable: false },
  CMQ_DATA_PRESENT: { remedy: 'name another directory, or ask for them to be merged', retryable: false },
  CMQ_DATA_STREAM: { remedy: 'give what `concordmq data export` wrote, whole and unchanged', retryable: false },
  CMQ_CLUSTER: {
    remedy: 'give all nodes the same address book, and each the key that was made for it',
    retryable: false,
  },
  CMQ_CLUSTER_QUIC: {
    remedy: 'install @currentspace/http3 beside the broker, or choose the transport tls',
    retryable: false,
  },
  CMQ_CLUSTER_DIRECTORY: { remedy: 'give this node a data directory of its own', retryable: false },
  CMQ_CLUSTER_CHANGE: {
    remedy: 'look at `concordmq ctl cluster status`, and have operators sign a change that follows it',
    retryable: false,
  },
  CMQ_CLUSTER_CHANGE_LATER: {
    remedy: 'look at `concordmq ctl cluster status`: it takes effect when a quorum of nodes is there',
    retryable: true,
  },
  CMQ_CLUSTER_REMOVED: { remedy: 'to take it in again, have operators add its key', retryable: false },
  CMQ_PROOF_LATER: { remedy: 'ask again once the message is ordered and a quorum of nodes is there', retryable: true },
  CMQ_PROOF_FORGOTTEN: { remedy: 'ask another node, or ask sooner and keep the proof', retryable: false },
  CMQ_WORKERS: { remedy: 'use one worker', retryable: false },
  CMQ_CLOSED: { remedy: 'create a new broker', retryable: false },
  CMQ_BANS: { remedy: 'give an IP address, a client identifier or a user name, or lift other bans', retryable: false },
  CMQ_QUOTA: { remedy: 'free retained messages or queues, or raise the limit', retryable: true },
  CMQ_HOOKS: { remedy: 'see docs/guide/hooks.md for the points and what each returns', retryable: false },
  CMQ_PROVIDER: { remedy: 'register it under `providers`, or give the thing itself', retryable: false },
  CMQ_MESSAGE: { remedy: 'see PublishOptions for what a message may hold', retryable: false },
  CMQ_BUSY: { remedy: 'wait for earlier calls before making more', retryable: true },
  CMQ_NOT_CONNECTED: { remedy: 'look at broker.clients() for who is there', retryable: true },
  CMQ_REFUSED: { remedy: 'see the reason code', retryable: false },
  CMQ_SEALED: { remedy: 'publish it again: a new place is its new rank', retryable: true },
  CMQ_TOPIC: { remedy: 'use a topic name without wildcards, of 1 to 65,535 bytes', retryable: false },
} as const satisfies Readonly<Record<`CMQ_${string}`, ErrorKind>>

export type ConcordErrorCode = keyof typeof errorKinds

/**
 * A mistake of the calling program, or circumstances it can do something about.
 *
 * ```ts
 * throw new ConcordError('CMQ_ADDRESS_IN_USE', 'Cannot listen on 127.0.0.1:1883: the address is taken', { cause: error })
 * ```
 */
export class ConcordError extends Error {
  override readonly name = 'ConcordError'
  readonly code: ConcordErrorCode
  readonly retryable: boolean

  constructor(code: ConcordErrorCode, what: string, options?: { readonly cause?: unknown }) {
    const kind = errorKinds[code]
    super(`${what}; ${kind.remedy}`, options)
    this.code = code
    this.retryable = kind.retryable
  }
}

/** A fault of our own: something held to be impossible happened. The connection it happened in closes with 0x83. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Checks what must hold; stays on in production. */
export function invariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new InvariantError(what)
}

/** The system's code of an error (`EADDRINUSE`), or an empty string. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : ''
}

/** What went wrong, in words, of anything that was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
