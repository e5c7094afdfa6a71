/**
 * What a newcomer shows in the place of operators' signatures: certificates of its key, by an authority that the network trusts since
 * its beginning (`Operators.roots`). What they are good for is decided in `authority.ts`.
 *
 *     admission   count u8 | (certificate, with its length) … | signature 64
 */
import { signatureBytes } from './block-codec.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** Certificates of one chain, and bytes of one of them. */
export const chainLengthMax = 5
export const certificateDerBytesMax = 8192

export interface Admission {
  /** X.509 in DER: that of the newcomer's key first, each issued by the next, the root left out. */
  readonly chain: readonly Uint8Array[]
  /** The newcomer's over the same bytes that operators sign: r | s, 64 bytes. */
  readonly signature: Uint8Array
}

export function writeAdmission(writer: Writer, { chain, signature }: Admission): void {
  writer.u8(chain.length)
  for (const certificate of chain) writer.bytes(certificate)
  writer.raw(signature)
}

export function readAdmission(reader: Reader): Admission {
  const count = reader.u8()
  if (count < 1 || count > chainLengthMax) reader.fail(`chain has ${count} certificates`)
  const chain: Uint8Array[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) chain.push(reader.bytes(certificateDerBytesMax))
  return { chain, signature: reader.raw(signatureBytes) }
}
