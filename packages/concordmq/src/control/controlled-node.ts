/** What the handlers of control requests are given: the running node, and the request. */
import type { ServerResponse } from 'node:http'
import type { Broker, Consensus, ListenerHandle, Logger } from '@concordmq/broker'
import type { Plan } from '../running/plan.ts'
import type { Reload } from '../running/reload.ts'

export interface ControlContext {
  readonly broker: Broker
  /** Undefined: the node orders alone. */
  readonly cluster: Consensus | undefined
  readonly listeners: readonly ListenerHandle[]
  readonly reload: Reload
  readonly logger: Logger
  /** Stops the node, as SIGTERM does. */
  readonly stop: () => void
}

export interface ControlledNode extends ControlContext {
  readonly plan: Plan
  readonly startedAtMs: number
}

export interface ControlRequest {
  /** What stood in the places of `*` in the path. */
  readonly names: readonly string[]
  readonly query: URLSearchParams
  readonly body: unknown
  readonly response: ServerResponse
}

/** Returns what becomes the JSON of the answer, or writes the answer itself and returns undefined. */
export type ControlHandler = (request: ControlRequest, node: ControlledNode) => unknown
