/**
 * Reads packets as a receiver does, through framer and decoder, and holds both to what they promise for any bytes: they do
 * not throw, the scan of the hot path agrees with the decoder, a refusal names code and statement, and what was taken means
 * the same when it is encoded again.
 */
import assert from 'node:assert/strict'
import { Framer } from '../../../packages/protocol/src/framing/framer.ts'
import { decodePacket } from '../../../packages/protocol/src/packets/decode.ts'
import { encodePacket } from '../../../packages/protocol/src/packets/encode.ts'
import { PublishScan, scanPublish } from '../../../packages/protocol/src/packets/publish.ts'
import { type Packet, PacketType, type ProtocolVersion } from '../../../packages/protocol/src/packets/types.ts'
import { isRefusal, type Refusal } from '../../../packages/protocol/src/refusal.ts'
import { utf8Decode } from '../../../packages/protocol/src/utf8.ts'

const packetBytesMax = 1 << 20
/** One for all, as on the hot path: what an earlier packet left must not show in the next. */
const scan = new PublishScan()

/** All packets in the bytes, the refusal last if there is one. */
export function readPackets(
  bytes: Uint8Array,
  version: ProtocolVersion,
  chunkBytes = bytes.length,
): (Packet | Refusal)[] {
  const framer = new Framer({ packetBytesMax })
  framer.version = version
  const results: (Packet | Refusal)[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const refusal = framer.push(bytes.slice(at, at + chunkBytes), (firstByte, buf, start, end) => {
      const result = decodePacket(firstByte, buf, start, end, version)
      if (firstByte >> 4 === PacketType.publish) checkScan(firstByte, buf, start, end, version, result)
      results.push(result)
    })
    if (refusal !== undefined) return [...results, refusal]
  }
  return results
}

/** The hot path's scan refuses what the decoder refuses, in the same words, and finds what it finds. */
export function checkScan(
  firstByte: number,
  buf: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
  decoded: Packet | Refusal,
): void {
  const problem = scanPublish(firstByte, buf, start, end, version, scan)
  if (isRefusal(decoded)) return assert.deepEqual(problem, decoded)
  assert.equal(problem, undefined)
  assert.ok(decoded.type === PacketType.publish)
  assert.equal(utf8Decode(buf, scan.topicStart, scan.topicEnd), decoded.topic)
  assert.equal(scan.packetId, decoded.packetId ?? 0)
  assert.equal(scan.topicAlias, decoded.properties?.topicAlias ?? 0)
  assert.equal(scan.expirySeconds, decoded.properties?.messageExpiryInterval ?? -1)
  assert.equal(scan.subscriptionIdentifiers, decoded.properties?.subscriptionIdentifiers !== undefined)
  assert.deepEqual(buf.subarray(scan.payloadStart, end), decoded.payload)
  assert.equal(scan.topicAliasAt === -1, scan.topicAlias === 0)
  assert.equal(scan.expiryAt === -1, scan.expirySeconds === -1)
  if (scan.topicAliasAt !== -1) assert.equal(buf[scan.topicAliasAt], 0x23)
  if (scan.expiryAt !== -1) assert.equal(buf[scan.expiryAt], 0x02)
}

/** A refusal names code and statement; anything else can be encoded, and means the same then. */
export function checkResult(result: Packet | Refusal, version: ProtocolVersion): void {
  if (isRefusal(result)) return checkRefusal(result)
  const itsVersion = result.type === PacketType.connect ? result.version : version
  const again = encodePacket(result, itsVersion)
  assert.deepEqual(readPackets(again, itsVersion), [result])
}

function checkRefusal({ reasonCode, statement, detail }: Refusal): void {
  assert.ok(reasonCode >= 0x80 && reasonCode <= 0xa2, `Reason code ${reasonCode}`)
  assert.match(statement, /^(MQTT3?-)?\d+(\.\d+)+(-\d+)?$/)
  assert.ok(detail.length > 0 && detail.length < 300, `Detail of ${detail.length} characters`)
}
