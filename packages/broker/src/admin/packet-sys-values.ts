/**
 * The rows of `$SYS` that count control packets by type, under the names that Mosquitto 2.1 documents; part of the table in
 * `sys-topics.ts`. Packets that break a rule are not counted: nobody knows what they were.
 */
import { PacketType } from '@concordmq/protocol'
import type { Counters } from '../telemetry/counters.ts'

type PacketValue = readonly [about: string, read: (moment: { readonly counters: Counters }) => number]

/** What a server gets, and what it sends. */
const received = [
  'connect',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'unsubscribe',
  'pingreq',
  'disconnect',
  'auth',
] as const
const sent = [
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'pingresp',
  'disconnect',
  'auth',
] as const

export const packetSysValues: Readonly<Record<string, PacketValue>> = Object.fromEntries([
  ...received.map((name) => row(name, 'received', ({ receivedByType }) => receivedByType)),
  ...sent.map((name) => row(name, 'sent', ({ sentByType }) => sentByType)),
])

function row(
  name: (typeof received)[number] | (typeof sent)[number],
  way: 'received' | 'sent',
  countsOf: (counters: Counters) => Float64Array,
): readonly [string, PacketValue] {
  const type = PacketType[name]
  const about = `${name.toUpperCase()} packets ${way}`
  return [`mqtt/${name}/${way}`, [about, ({ counters }) => countsOf(counters)[type] as number]]
}
