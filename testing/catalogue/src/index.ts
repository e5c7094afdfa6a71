/** The packet catalogue and the arbitraries of packets: for codec tests, fuzzing, conformance and benchmarks. */
export { catalogue } from './catalogue.ts'
export type { AcceptedEntry, CatalogueEntry, RefusedEntry } from './entry.ts'
export { hold } from './hold.ts'
export { fromHex, toHex, wire } from './notation.ts'
export { anyPacket, anyVersion, type PacketOf, packetArbitraries } from './packet-arbitraries.ts'
