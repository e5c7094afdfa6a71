/** For tests of what outlives a process. */
import { cpSync } from 'node:fs'
import type { RawClient } from '../../../../testing/testkit/src/raw-client.ts'
import { publish } from '../../../../testing/testkit/src/wire.ts'

/** What a process leaves that is killed now: a copy of its files in `copy`, taken while it runs. */
export function killed(directory: string, copy: string): string {
  cpSync(directory, copy, { recursive: true })
  return copy
}

/** QoS 1, and what the broker promises with its PUBACK. */
export async function publishAcknowledged(
  client: RawClient,
  topic: string,
  payload: string,
  id: number,
): Promise<void> {
  client.send(publish(5, topic, payload, { qos: 1, id }))
  await client.expectPacket('PUBACK', { id })
}
