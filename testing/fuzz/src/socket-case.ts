/**
 * What one short connection of the socket fuzz sends: a seed always stands for the same bytes in the same chunks. Four kinds
 * lie beside each other: sessions that keep every rule, such sessions with damaged packets among them, damaged CONNECT
 * packets, and noise. One in eight comes through WebSocket, with frames that may be damaged as well.
 */
import { catalogue } from '../../catalogue/src/catalogue.ts'
import { fromHex } from '../../catalogue/src/notation.ts'
import { type Random, randomFrom } from '../../testkit/src/random.ts'
import type { Property, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'

export interface SocketCase {
  readonly kind: 'valid' | 'damaged' | 'damagedConnect' | 'noise'
  readonly transport: 'tcp' | 'ws'
  /** The version that a broker answers in; undefined where the CONNECT does not say it for sure. */
  readonly version: Version | undefined
  /** Written one after the other; the broker may see them together. */
  readonly chunks: readonly Buffer[]
  /** How the connection ends: our side closes and waits for theirs, closes at once, or resets. */
  readonly ending: 'end' | 'destroy' | 'reset'
  /** Never reads: the broker cannot write. */
  readonly deaf: boolean
}

const clientsMax = 48
const topics = ['a', 'a/b', 'a/b/c', 'b', 'b/c', '/', '$SYS/a'] as const
const filters = ['a', 'a/#', '+/b', '#', '+', 'b/+', '$SYS/#', '$share/g/a/#', '$share/g/#', '$share/h/b'] as const

const samples = catalogue
  .filter(({ direction }) => direction !== 'toClient')
  .map((entry) => ({
    version: entry.version,
    bytes: Buffer.from(fromHex(entry.bytes)),
    isConnect: entry.bytes.startsWith('10'),
    isTaken: 'packet' in entry,
  }))

export function makeCase(seed: number): SocketCase {
  const random = randomFrom(seed)
  const { below, pick } = random
  const kind = pick(['valid', 'valid', 'valid', 'damaged', 'damaged', 'damaged', 'damagedConnect', 'noise'] as const)
  const version = pick([3, 4, 4, 5, 5, 5] as const)
  const transport = below(8) === 0 ? 'ws' : 'tcp'
  const stream = Buffer.concat(packetsOf(kind, version, random))
  const sent = below(8) === 0 ? stream.subarray(0, below(stream.length + 1)) : stream
  const chunks = cut(sent, random)
  return {
    kind,
    transport,
    version: kind === 'valid' || kind === 'damaged' ? version : undefined,
    chunks: transport === 'ws' ? inWebSocket(chunks, random) : chunks,
    ending: pick(['end', 'destroy', 'reset'] as const),
    deaf: below(16) === 0,
  }
}

function packetsOf(kind: SocketCase['kind'], version: Version, random: Random): Buffer[] {
  const { below } = random
  if (kind === 'noise') return [noise(random)]
  const first = connectPacket(version, random)
  const packets = [kind === 'damagedConnect' ? damage(first, random) : first]
  for (let count = below(14); count > 0; count--) {
    if (kind !== 'damaged') packets.push(packet(version, random))
    else if (below(3) === 0) packets.push(sample(version, random, { taken: false }))
    else packets.push(below(3) === 0 ? damage(packet(version, random), random) : packet(version, random))
  }
  return packets
}

function connectPacket(version: Version, random: Random): Buffer {
  const { below, pick } = random
  const list: Property[] = []
  if (below(2) === 0) list.push(['sessionExpiryInterval', below(3)])
  if (below(3) === 0) list.push(['receiveMaximum', 1 + below(5)])
  if (below(3) === 0) list.push(['topicAliasMaximum', below(4)])
  if (below(6) === 0) list.push(['maximumPacketSize', 20 + below(200)])
  if (below(8) === 0) list.push(['authenticationMethod', 'fuzz'], ['authenticationData', 'x'])
  return wire.connect(version, {
    clientId: `fuzz${below(clientsMax)}`,
    cleanStart: below(2) === 0,
    keepAlive: below(2) * 60,
    properties: list,
    ...(below(3) === 0
      ? { will: { topic: pick(topics.slice(0, 6)), payload: 'gone', qos: below(3), retain: below(4) === 0 } }
      : {}),
    ...(below(16) === 0 ? { username: 'user', password: pick(['pass', 'wrong']) } : {}),
  })
}

/** A packet that the version allows, and most often the state as well. */
function packet(version: Version, random: Random): Buffer {
  const { below, pick } = random
  const id = 1 + below(12)
  switch (below(12)) {
    case 0:
      return wire.subscribe(version, id, [
        [pick(filters), below(3)],
        [pick(filters), below(3)],
      ])
    case 1:
      return wire.unsubscribe(version, id, [pick(filters)])
    case 2:
      return wire.pingreq
    case 3:
      return wire.acknowledge('PUBREL', id)
    case 4:
      return wire.acknowledge(pick(['PUBACK', 'PUBREC', 'PUBCOMP'] as const), id)
    case 5:
      return sample(version, random, { taken: true })
    case 6:
      return below(4) === 0 ? wire.disconnect(version === 5 && below(2) === 0 ? 4 : undefined) : wire.pingreq
    default: {
      const qos = below(3)
      return wire.publish(version, pick(topics.slice(0, 6)), 'x'.repeat(payloadBytes(random)), {
        qos,
        retain: below(6) === 0,
        dup: qos > 0 && below(6) === 0,
        ...(qos > 0 ? { id } : {}),
        properties: below(4) === 0 ? [['topicAlias', 1 + below(3)]] : [],
      })
    }
  }
}

function payloadBytes({ below }: Random): number {
  const kind = below(200)
  if (kind === 0) return below(1 << 20)
  return kind < 4 ? below(1 << 16) : below(200)
}

function sample(version: Version, { pick }: Random, { taken }: { readonly taken: boolean }): Buffer {
  const wanted = samples.filter((one) => one.version === version && one.isTaken === taken && !(taken && one.isConnect))
  return pick(wanted).bytes
}

function noise({ below, pick }: Random): Buffer {
  const bytes = Buffer.from(Array.from({ length: below(400) }, () => below(256)))
  return pick([
    bytes,
    Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n\r\n'), bytes]),
    Buffer.concat([clientHello, bytes]),
  ])
}

/** How a TLS client begins. */
const clientHello = Buffer.from('16030100c8010000c40303', 'hex')

function damage(bytes: Buffer, { below }: Random): Buffer {
  let out = Buffer.from(bytes)
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(out.length + 1)
    switch (below(5)) {
      case 0:
        if (at < out.length) out[at] = below(256)
        break
      case 1:
        if (at < out.length) out[at] = (out[at] as number) ^ (1 << below(8))
        break
      case 2:
        out = Buffer.concat([out.subarray(0, at), Buffer.from([below(256)]), out.subarray(at)])
        break
      case 3:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + below(3))])
        break
      default:
        out = Buffer.concat([out.subarray(0, at), out.subarray(below(out.length + 1), at), out.subarray(at)])
    }
  }
  return out
}

/** Up to twelve chunks; borders fall anywhere. */
function cut(bytes: Buffer, { below }: Random): Buffer[] {
  const borders = Array.from({ length: below(12) }, () => below(bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...borders]
    .map((from, i) => bytes.subarray(from, borders[i] ?? bytes.length))
    .filter((chunk) => chunk.length > 0)
}

/** The opening handshake and a masked binary frame per chunk; now and then a frame of another kind or a damaged one. */
function inWebSocket(chunks: readonly Buffer[], random: Random): Buffer[] {
  const { below, pick } = random
  const opening =
    `GET ${pick(['/', '/mqtt', '/websocket'])} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n` +
    'Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Protocol: mqtt\r\n\r\n'
  const frames = chunks.map((chunk) => {
    const made = frame(below(20) === 0 ? pick([0, 1, 8, 9, 10, 3]) : 2, chunk, random)
    return below(20) === 0 ? damage(made, random) : made
  })
  return [Buffer.from(opening), ...frames]
}

function frame(opcode: number, content: Buffer, { below }: Random): Buffer {
  const mask = Buffer.from([below(256), below(256), below(256), below(256)])
  const masked = Buffer.from(content)
  for (let i = 0; i < masked.length; i++) masked[i] = (masked[i] as number) ^ (mask[i & 3] as number)
  const { length } = content
  const size =
    length < 126
      ? wire.bytes(0x80 | length)
      : length < 65_536
        ? Buffer.concat([wire.bytes(0xfe), wire.uint16(length)])
        : Buffer.concat([wire.bytes(0xff, 0, 0, 0, 0), wire.uint32(length)])
  return Buffer.concat([wire.bytes(0x80 | opcode), size, mask, masked])
}
