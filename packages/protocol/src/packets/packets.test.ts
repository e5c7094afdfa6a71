/** Every packet of every version through decoder and encoder: the catalogue, and random packets, cut and damaged. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { catalogue } from '../../../../testing/catalogue/src/catalogue.ts'
import { checkResult, checkScan, readPackets } from '../../../../testing/catalogue/src/checked-reading.ts'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { fromHex, toHex } from '../../../../testing/catalogue/src/notation.ts'
import { anyPacket, packetArbitraries } from '../../../../testing/catalogue/src/packet-arbitraries.ts'
import { joinBytes } from '../bytes.ts'
import { isRefusal } from '../refusal.ts'
import { decodePacket } from './decode.ts'
import { encodePacket } from './encode.ts'
import type { Packet } from './types.ts'

const versions = [3, 4, 5] as const
describe('catalogue', () => {
  for (const entry of catalogue) {
    const { name, version, bytes } = entry
    if ('packet' in entry) {
      test(`version ${version}: takes ${name}`, () => {
        assert.deepEqual(readPackets(fromHex(bytes), version), [entry.packet])
        if (entry.canonical) assert.equal(toHex(encodePacket(entry.packet, version)), bytes)
        else assert.deepEqual(readPackets(encodePacket(entry.packet, version), version), [entry.packet])
      })
    } else {
      const { reasonCode, statement } = entry.refusal
      test(`version ${version}: refuses ${name} with 0x${reasonCode.toString(16)} [${statement}]`, () => {
        const [result, ...more] = readPackets(fromHex(bytes), version)
        assert.deepEqual(more, [])
        assert.ok(isRefusal(result), `taken as ${JSON.stringify(result)}`)
        assert.deepEqual({ reasonCode: result.reasonCode, statement: result.statement }, entry.refusal, result.detail)
        assert.notEqual(result.detail, '')
      })
    }
  }
})

describe('random packets', () => {
  for (const version of versions) {
    for (const [name, arbitrary] of Object.entries(packetArbitraries(version))) {
      test(`version ${version}: ${name} comes back as it was sent, through any chunks`, () => {
        hold(
          fc.property(
            fc.array(arbitrary, { minLength: 1, maxLength: 3 }),
            fc.integer({ min: 1, max: 40 }),
            (packets, size) => {
              const wire = joinBytes(packets.map((packet) => encodePacket(packet, version)))
              assert.deepEqual(readPackets(wire, version, size), packets)
            },
          ),
          60,
        )
      })

      test(`version ${version}: a damaged ${name} is refused or taken, and what is taken can be sent`, () => {
        hold(
          fc.property(arbitrary, damages, (packet, edits) => {
            const damaged = damage(encodePacket(packet, version), edits)
            for (const result of readPackets(damaged, version)) checkResult(result, version)
          }),
          150,
        )
      })
    }

    test(`version ${version}: a body that is cut or damaged under an honest length is refused or taken`, () => {
      hold(
        fc.property(anyPacket(version), damages, (packet, edits) => {
          const bytes = encodePacket(packet, version)
          const body = damage(bodyOf(bytes), edits)
          checkResult(decodePacket(bytes[0] as number, body, 0, body.length, version), version)
        }),
        1500,
      )
    })

    test(`version ${version}: no bytes make the decoder throw`, () => {
      hold(
        fc.property(fc.nat(255), fc.uint8Array({ maxLength: 40 }), (firstByte, body) => {
          checkResult(decodePacket(firstByte, body, 0, body.length, version), version)
        }),
        1500,
      )
    })

    test(`version ${version}: the scan of PUBLISH and its decoder agree`, () => {
      const publish = packetArbitraries(version)['PUBLISH'] as fc.Arbitrary<Packet>
      hold(
        fc.property(publish, damages, (packet, edits) => {
          const bytes = encodePacket(packet, version)
          const first = bytes[0] as number
          const body = damage(bodyOf(bytes), edits)
          checkScan(first, body, 0, body.length, version, decodePacket(first, body, 0, body.length, version))
        }),
        1000,
      )
    })
  }
})

type Damage = {
  readonly kind: 'set' | 'insert' | 'delete' | 'cut' | 'flip'
  readonly at: number
  readonly value: number
}

const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'insert', 'delete', 'cut', 'flip'),
    // Headers and lengths stand at the beginning: most damage goes there.
    at: fc.oneof(fc.nat(20), fc.nat(200)),
    value: fc.nat(255),
  }),
  { minLength: 1, maxLength: 3 },
)

function damage(bytes: Uint8Array, edits: readonly Damage[]): Uint8Array {
  const out = [...bytes]
  for (const { kind, at, value } of edits) {
    const where = out.length === 0 ? 0 : at % out.length
    if (kind === 'set') out[where] = value
    else if (kind === 'flip') out[where] = (out[where] ?? 0) ^ (1 << (value & 7))
    else if (kind === 'insert') out.splice(where, 0, value)
    else if (kind === 'delete') out.splice(where, 1)
    else out.length = where
  }
  return Uint8Array.from(out)
}

function bodyOf(bytes: Uint8Array): Uint8Array {
  let at = 1
  while ((bytes[at] as number) >= 0x80) at++
  return bytes.slice(at + 1)
}
