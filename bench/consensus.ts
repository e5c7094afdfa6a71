/**
 * What a round of the ordering engine costs a node, without sockets and disks.
 *
 *   node bench/consensus.ts [--nodes 4] [--rounds 3000] [--messages 4] [--bytes 64]
 *
 * Prints CPU per node and round, µs, and of that what signatures and hashes are.
 */
import { parseArgs } from 'node:util'
import { Rounds } from './micro/consensus-rounds.ts'

const { values: options } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3000' },
    messages: { type: 'string', default: '4' },
    bytes: { type: 'string', default: '64' },
  },
})
const nodes = Number(options.nodes)
/** Rounds before it is measured. */
const warmUp = 500

const rounds = new Rounds({
  ...{ nodes, messages: Number(options.messages), bytes: Number(options.bytes), signatures: true },
})
rounds.run(warmUp)
const { placed, cryptographyUs, steps, round } = rounds
const begun = process.cpuUsage()
rounds.run(Number(options.rounds))
const { user, system } = process.cpuUsage(begun)
const passed = (rounds.round - round) * nodes
console.log(
  `${nodes} nodes, ${passed / nodes} rounds, ${((rounds.placed - placed) / (passed / nodes)).toFixed(1)} messages a round: ` +
    `${((user + system) / passed).toFixed(0)} µs of CPU per node and round, ` +
    `${((rounds.cryptographyUs - cryptographyUs) / passed).toFixed(0)} of it signatures and hashes, ` +
    `${((rounds.steps - steps) / passed).toFixed(1)} inputs`,
)
