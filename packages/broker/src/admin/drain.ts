/**
 * Taking a node out of service without a storm: no new connections, and those that are there are ended a few at a time,
 * spread over the time given, so that their reconnects reach the other nodes spread over it too. 5.0 clients are told to use
 * another server (0x9C, with its name where one is given) or that this one shuts down (0x8B); earlier ones are disconnected,
 * which is all the protocol has for them. Wills are published as for any connection the server ends.
 */
import { ReasonCode } from '@concordmq/protocol'
import type { Connection } from '../connections/connection.ts'

export interface DrainOptions {
  /** Over how long the connections are ended, milliseconds. */
  readonly overMs: number
  /** Where 5.0 clients should go: `host:port`, several separated by spaces. */
  readonly serverReference?: string
}

const STEP_MS = 100

/** Resolves when the last of the connections of this moment was told. Those that end by themselves are not waited for. */
export async function endSpread(
  connections: ReadonlySet<Connection>,
  { overMs, serverReference }: DrainOptions,
): Promise<void> {
  const left = [...connections]
  const steps = Math.max(1, Math.ceil(overMs / STEP_MS))
  for (let step = 0; step < steps && left.length > 0; step++) {
    const share = Math.ceil(left.length / (steps - step))
    for (const connection of left.splice(0, share)) end(connection, serverReference)
    if (left.length > 0) await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
}

function end(connection: Connection, serverReference: string | undefined): void {
  if (serverReference === undefined || !connection.conversation.connected) connection.shutDown()
  else connection.conversation.disconnect(ReasonCode.useAnotherServer, { serverReference })
}
