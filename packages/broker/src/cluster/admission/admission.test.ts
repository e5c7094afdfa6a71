/** Newcomers with certificates at the door of a real cluster: who is taken in, and what the others are told (row F8). */
import assert from 'node:assert/strict'
import { createHash, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { OrderedBatch } from '@concordmq/consensus'
import { Authority } from '../../../../../testing/testkit/src/authority.ts'
import type { OrderedApplication, SnapshotSource } from '../../model/ordered-log.ts'
import { freeAddresses, type LogLine, makeKeys, recordingLogger } from '../cluster.testkit.ts'
import type { Consensus } from '../consensus.ts'
import { openClusterNode } from '../open-cluster.ts'

/** An application that only counts. */
class Counter implements OrderedApplication {
  nextPosition = 0

  ordered({ messages }: OrderedBatch): void {
    this.nextPosition += messages.length
  }
  checkpoint(): ReturnType<OrderedApplication['checkpoint']> {
    const state = Buffer.from(String(this.nextPosition))
    return {
      hashes: async () => [createHash('sha256').update(state).digest()],
      read: async () => state,
      release: () => {},
    }
  }
  async install({ position }: SnapshotSource): Promise<void> {
    this.nextPosition = position
  }
  readonly relay = { linked: () => {}, relayed: () => undefined }
  opened(): void {}
  statusChanged(): void {}
  epochChanged(): void {}
}

interface Node {
  readonly consensus: Consensus
  readonly lines: LogLine[]
}

const directory = mkdtempSync(join(tmpdir(), 'concordmq-admission-'))
const keys = makeKeys(9)
const nodes: Node[] = []
let authority: Authority
let addresses: string[]
let opened = 0

/** `address`: where a newcomer says that it is. Default: where it listens. */
async function open(
  key: KeyObject,
  listen: string,
  chain?: readonly X509Certificate[],
  { address = listen }: { readonly address?: string | undefined } = {},
): Promise<Node> {
  const lines: LogLine[] = []
  const [host = '', port] = listen.split(':')
  const consensus = await openClusterNode({
    book: keys.slice(0, 4).map((one, i) => ({ publicKey: createPublicKey(one), address: addresses[i] as string })),
    operators: { threshold: 0, keys: [], roots: [authority.root] },
    privateKey: key,
    directory: join(directory, String(opened++)),
    transport: 'auto',
    listen: { host, port: Number(port) },
    settingsDigest: new Uint8Array(32),
    logger: recordingLogger(lines),
    ...(chain === undefined ? { admits: true } : { application: { chain, address } }),
  })
  await consensus.start(new Counter())
  const node = { consensus, lines }
  nodes.push(node)
  return node
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!holds()) {
    if (Date.now() > deadline)
      assert.fail(
        `waited for ${what}: ${nodes
          .slice(-1)
          .flatMap(({ lines }) => lines.map((line) => line.message))
          .join('\n')}`,
      )
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const says = ({ lines }: Node, pattern: RegExp): boolean => lines.some(({ message }) => pattern.test(message))

before(async () => {
  authority = new Authority('The root')
  addresses = await freeAddresses(9)
  for (let i = 0; i < 4; i++) await open(keys[i] as KeyObject, addresses[i] as string)
})
after(async () => {
  await Promise.all(nodes.map(({ consensus }) => consensus.stop()))
  authority.remove()
  rmSync(directory, { recursive: true })
})

test('a node whose key the authority certified is taken in, and has a part in the order [row F8]', async () => {
  const chain = [authority.certify('fifth', keys[4] as KeyObject)]
  const newcomer = await open(keys[4] as KeyObject, addresses[4] as string, chain)
  await until(() => newcomer.consensus.node === 4, 'a place in the book')
  await until(() => newcomer.consensus.status.mode === 'active', 'a part in the order')
  await new Promise<void>((resolve) => newcomer.consensus.submit(Buffer.from('hello'), () => resolve()))
  for (const { consensus } of nodes.slice(0, 4)) await until(() => consensus.epoch.number === 1, 'the next epoch')
  const taken = /^Took in the node [0-9a-f]{16} \(127\.0\.0\.1:\d+\) by its certificate: epoch 1 has 5 nodes$/
  assert.ok(nodes.some((node) => says(node, taken)))
})

test('a node that was taken in and lost its disk finds its place again, and is not refused meanwhile', async () => {
  await nodes.pop()?.consensus.stop()
  const chain = [authority.certify('fifth', keys[4] as KeyObject)]
  const again = await open(keys[4] as KeyObject, addresses[4] as string, chain)
  await until(() => again.consensus.node === 4, 'its place in the book')
  assert.ok(!says(again, /does not take this node in/))
})

test('newcomers are refused with one line each that says why, at both ends', async () => {
  const [key, other, past] = keys.slice(5) as [KeyObject, KeyObject, KeyObject]
  const stranger = new Authority('Another root')
  const cases: readonly (readonly [KeyObject, string, X509Certificate, RegExp])[] = [
    [
      key,
      addresses[5] as string,
      stranger.certify('node', key),
      /leads to "CN=Another root", which is no root of this network/,
    ],
    [other, addresses[6] as string, authority.certify('other', key), /its certificate is for another key/],
    [
      past,
      addresses[7] as string,
      authority.certify('past', past, { notAfter: '20210101000000Z' }),
      /"CN=past" expired on 2021-01-01/,
    ],
  ]
  try {
    for (const [own, address, certificate, reason] of cases) {
      const newcomer = await open(own, address, [certificate])
      await until(() => says(newcomer, reason), String(reason))
      assert.ok(says(newcomer, /^node \d .* does not take this node in: /))
      assert.ok(
        nodes.slice(0, 4).some((node) => says(node, new RegExp(`^Did not take in the node .*${reason.source}`))),
      )
      await newcomer.consensus.stop()
    }
    const same = await open(key, addresses[8] as string, [authority.certify('same', key)], { address: addresses[0] })
    await until(() => says(same, /its address 127\.0\.0\.1:\d+ is that of node 0/), 'the conflict of addresses')
    await same.consensus.stop()
    const taken = await open(key, addresses[8] as string, [authority.certify('taken', key)])
    await until(() => taken.consensus.node === 5, 'a place in the book')
  } finally {
    stranger.remove()
  }
})
