/**
 * The log on disk: segments, `00000001.log` and so on, each a header and groups one behind the other.
 *
 *   header (64 bytes, twice)  "CMQLOG" 0 1 │ number u53 │ end of the segment before u53 │ salt 16 │ crc u32
 *   group                     "GRP" 1 │ length u32 │ sequence u32 │ crc u32 │ payload │ zeros up to 8 bytes
 *
 * The checksum of a group covers the salt of its segment and its sequence, so nothing that lay in the file before, and
 * nothing that a client could put into a message, passes for a group. A segment says where the one before it ends: what
 * lies behind that end was never acknowledged. The end of the last one is where the groups end.
 */
import { crc32 } from 'node:zlib'

export const HEADER_BYTES = 64
/** The two headers, and the room kept for them. */
export const GROUPS_START = 4096
const HEADER_COPY_AT = 2048
export const GROUP_HEADER_BYTES = 16
const ALIGNMENT = 8
const SALT_BYTES = 16
const MAGIC = Buffer.from('CMQLOG\0\x01', 'latin1')
const GROUP_MAGIC = 0x47525001
/** Longest payload of one group, a bound for readers. */
export const GROUP_BYTES_MAX = 0x7fff_ff00

export interface SegmentHeader {
  readonly number: number
  /** Where the groups of the segment before end; 0: there is none. */
  readonly previousEnd: number
  readonly salt: Uint8Array
}

/** The first bytes of a segment. */
export function encodeSegmentHeader({ number, previousEnd, salt }: SegmentHeader): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  header.writeBigUInt64BE(BigInt(number), 8)
  header.writeBigUInt64BE(BigInt(previousEnd), 16)
  header.set(salt, 24)
  header.writeUInt32BE(crc32(header.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4)
  const bytes = Buffer.alloc(GROUPS_START)
  header.copy(bytes)
  header.copy(bytes, HEADER_COPY_AT)
  return bytes
}

/** The header of a segment, from either of its copies; undefined: there is none, the segment never came to be. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  for (const at of [0, HEADER_COPY_AT]) {
    const header = Buffer.from(bytes.subarray(at, at + HEADER_BYTES))
    if (header.length < HEADER_BYTES || MAGIC.compare(header, 0, MAGIC.length) !== 0) continue
    if (header.readUInt32BE(HEADER_BYTES - 4) !== crc32(header.subarray(0, HEADER_BYTES - 4))) continue
    const number = Number(header.readBigUInt64BE(8))
    return { number, previousEnd: Number(header.readBigUInt64BE(16)), salt: header.subarray(24, 24 + SALT_BYTES) }
  }
  return undefined
}

/** What a group takes on disk. */
export function groupBytes(payloadBytes: number): number {
  return Math.ceil((GROUP_HEADER_BYTES + payloadBytes) / ALIGNMENT) * ALIGNMENT
}

/** Completes a group around the payload that lies behind its header: `group` has as many bytes as it takes. */
export function sealGroup(group: Buffer, payloadBytes: number, sequence: number, salt: Uint8Array): void {
  group.writeUInt32BE(GROUP_MAGIC, 0)
  group.writeUInt32BE(payloadBytes, 4)
  group.writeUInt32BE(sequence, 8)
  group.fill(0, GROUP_HEADER_BYTES + payloadBytes)
  group.writeUInt32BE(checksum(group, payloadBytes, salt), 12)
}

/** Whether something at `at` begins as a group does. */
export function hasGroupAt(segment: Uint8Array, at: number): boolean {
  if (at + GROUP_HEADER_BYTES > segment.length) return false
  return Buffer.from(segment.buffer, segment.byteOffset, segment.length).readUInt32BE(at) === GROUP_MAGIC
}

/** The payload of the group at `at`; undefined: there is no whole group. */
export function decodeGroup(
  segment: Uint8Array,
  at: number,
  { sequence, salt }: { readonly sequence: number | undefined; readonly salt: Uint8Array },
): Uint8Array | undefined {
  if (at + GROUP_HEADER_BYTES > segment.length) return undefined
  const view = Buffer.from(segment.buffer, segment.byteOffset + at, segment.length - at)
  if (view.readUInt32BE(0) !== GROUP_MAGIC) return undefined
  const length = view.readUInt32BE(4)
  if (length > GROUP_BYTES_MAX || GROUP_HEADER_BYTES + length > view.length) return undefined
  if (sequence !== undefined && view.readUInt32BE(8) !== sequence) return undefined
  if (view.readUInt32BE(12) !== checksum(view, length, salt)) return undefined
  return view.subarray(GROUP_HEADER_BYTES, GROUP_HEADER_BYTES + length)
}

function checksum(group: Buffer, length: number, salt: Uint8Array): number {
  const head = crc32(group.subarray(0, 12), crc32(salt))
  return crc32(group.subarray(GROUP_HEADER_BYTES, GROUP_HEADER_BYTES + length), head)
}

const NAME = /^(\d{8,16})\.log$/

export function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`
}

/** The number in a segment's name; undefined: it is no segment. */
export function segmentNumber(name: string): number | undefined {
  const [, digits] = NAME.exec(name) ?? []
  return digits === undefined ? undefined : Number(digits)
}
