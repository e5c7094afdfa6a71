/** What an entry of the catalogue is: the bytes of one packet, and what comes of them. */
import type { Direction } from '../../../packages/protocol/src/packets/direction.ts'
import type { Packet, ProtocolVersion } from '../../../packages/protocol/src/packets/types.ts'

interface Entry {
  /** Unique together with the version. */
  readonly name: string
  readonly version: ProtocolVersion
  /** The whole packet, fixed header included, as hexadecimal digits. */
  readonly bytes: string
  /** Who may send it. */
  readonly direction: Direction
}

/** A packet that is taken. */
export interface AcceptedEntry extends Entry {
  readonly packet: Packet
  /** False where a sender has a choice and the encoder writes other bytes: longer or in another order than needed. */
  readonly canonical: boolean
}

/** A packet that is refused. */
export interface RefusedEntry extends Entry {
  readonly refusal: { readonly reasonCode: number; readonly statement: string }
}

export type CatalogueEntry = AcceptedEntry | RefusedEntry

export function taken(
  name: string,
  version: ProtocolVersion,
  direction: Direction,
  bytes: string,
  packet: Packet,
  options: { readonly canonical: boolean } = { canonical: true },
): AcceptedEntry {
  return { name, version, direction, bytes, packet, canonical: options.canonical }
}

export function refused(
  name: string,
  version: ProtocolVersion,
  direction: Direction,
  bytes: string,
  reasonCode: number,
  statement: string,
): RefusedEntry {
  return { name, version, direction, bytes, refusal: { reasonCode, statement } }
}
