import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { freeAddresses, makeKeys, makeMembers, makeTestEpoch, openNode, type TestNode } from '../cluster.testkit.ts'
import type { Members } from '../identity/members.ts'
import { encodeFrame, FrameType } from './frames.ts'
import { encodeChallenge, encodeHello } from './hello.ts'
import { loadQuic } from './quic-transport.ts'
import { rawLinked, rawPeer, rawTls, withTarget } from './raw-peer.testkit.ts'
import { ALPN } from './transport.ts'

const said = (node: TestNode, level: string, pattern: RegExp): boolean =>
  node.lines.some((line) => line.level === level && pattern.test(line.message))

async function withNodes(
  members: readonly Members[],
  choice: 'tls' | 'quic',
  body: (nodes: readonly TestNode[]) => Promise<void>,
): Promise<void> {
  const nodes = await Promise.all(members.map((one) => openNode(one, choice)))
  try {
    await body(nodes)
    for (const { changes } of nodes) assert.deepEqual(changes, [], 'no link came up')
  } finally {
    await Promise.all(nodes.map(({ links }) => links.close()))
  }
}

for (const choice of ['tls', 'quic'] as const) {
  test(`nodes with different address books refuse each other over ${choice}, and both name peer and digests`, async () => {
    const keys = makeKeys(3)
    const [own, other, third] = keys as [KeyObject, KeyObject, KeyObject]
    const addresses = await freeAddresses(3)
    const a = makeTestEpoch({ keys, addresses })
    const b = makeTestEpoch({ keys: [own, other, makeKeys(1)[0] ?? third], addresses })
    await withNodes([makeMembers(a, own), makeMembers(b, other)], choice, async (nodes) => {
      const digests = [a, b].map(({ hash }) => Buffer.from(hash).toString('hex').slice(0, 16))
      const startedMs = performance.now()
      for (const [i, node] of nodes.entries()) {
        const name = `node ${1 - i} \\(key [0-9a-f]{16}, 127\\.0\\.0\\.1:\\d+\\)`
        const pattern = new RegExp(`${name}: its address book differs: digest ${digests[1 - i]}, here ${digests[i]}`)
        await node.until(() => said(node, 'error', pattern), 'the line about different books')
      }
      assert.ok(performance.now() - startedMs < 5000)
      const errors = nodes[0]?.lines.filter(({ level, message }) => level === 'error' && /digest/.test(message))
      assert.equal(errors?.length, 1, 'it is said once')
    })
  })

  test(`another network and other settings of the machine are refused over ${choice}`, async () => {
    const keys = makeKeys(2)
    const [own, other] = keys as [KeyObject, KeyObject]
    for (const kind of ['network', 'settings'] as const) {
      const addresses = await freeAddresses(2)
      const a = makeTestEpoch({ keys, addresses })
      const b = kind === 'network' ? makeTestEpoch({ keys, addresses, network: 'elsewhere' }) : a
      await withNodes([makeMembers(a, own), makeMembers(b, other, 'other')], choice, async (nodes) => {
        const pattern =
          kind === 'network'
            ? /it is in network "(test|elsewhere)", this node in "(?!\1)(test|elsewhere)"/
            : /its settings of the machine differ: digest /
        for (const node of nodes) await node.until(() => said(node, 'error', pattern), kind)
      })
    }
  })

  test(`a node whose key is not in the book gets no link over ${choice}, and is named`, async () => {
    const keys = makeKeys(2)
    const [own, other] = keys as [KeyObject, KeyObject]
    const addresses = await freeAddresses(2)
    const outsider = makeKeys(1)[0] as KeyObject
    const a = makeMembers(makeTestEpoch({ keys, addresses }), own)
    // Its own book has it in the place of node 1.
    const b = makeMembers(makeTestEpoch({ keys: [own, outsider], addresses }), outsider)
    assert.notEqual(a.all[1]?.keyId, b.self.keyId)
    await withNodes([a, b], choice, async ([node, intruder]) => {
      const key = choice === 'tls' ? ` ${b.self.keyId}` : ''
      const refused = new RegExp(`Refused a connection of 127.0.0.1:\\d+ .*: its key${key} is not in the address book`)
      await node?.until(() => said(node, 'warn', refused), 'the line about the outsider')
      assert.ok(other)
      assert.ok(intruder)
    })
  })

  test(`whoever answers with another key than the book's is not linked with over ${choice}`, async () => {
    const keys = makeKeys(3)
    const [own, other, third] = keys as [KeyObject, KeyObject, KeyObject]
    const [ownAddress, otherAddress] = (await freeAddresses(2)) as [string, string]
    const a = makeTestEpoch({ keys, addresses: [ownAddress, otherAddress, '127.0.0.1:1'] })
    // Node 2 listens where node 0 expects node 1, and dials nobody: its own book has no reachable peers.
    const b = makeTestEpoch({ keys, addresses: ['127.0.0.1:1', '127.0.0.1:1', otherAddress] })
    assert.ok(other)
    await withNodes([makeMembers(a, own), makeMembers(b, third)], choice, async ([node]) => {
      await node?.until(() => said(node, 'info', /Cannot reach node 1 .*node 1 \(key .* was expected/), 'the line')
    })
  })
}

test('a connection without certificate, or with one of another kind of key, is closed', async () => {
  await withTarget(async (target, self) => {
    const raw = await rawTls(self.self.address, undefined, '')
    await raw.closed
    assert.equal(raw.received.length, 0)
    await target.until(() => said(target, 'warn', /it shows no certificate/), 'the line')
  })
})

for (const kind of ['tls', 'quic'] as const) {
  test(`a replayed HELLO is refused over ${kind}: it answers the challenge of another link`, async () => {
    await withTarget(
      async (target, self, peer) => {
        const nonce = new Uint8Array(32).fill(7)
        const stolen = encodeHello(peer, nonce, new Uint8Array(32).fill(9))
        const raw = await rawPeer(kind, self, peer)
        raw.write(encodeChallenge(nonce))
        raw.write(stolen)
        await raw.closed
        await target.until(() => said(target, 'warn', /Refused node 1 .*it was replayed/), 'the line')
        assert.deepEqual(target.changes, [])
        // It is told why.
        assert.match(Buffer.concat(raw.received).toString('latin1'), /it was replayed/)
      },
      { kind },
    )
  })

  test(`a HELLO that is signed by another key is refused over ${kind}`, async () => {
    await withTarget(
      async (target, self, peer) => {
        const forger: Members = { ...peer, privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }
        const raw = await rawPeer(kind, self, peer)
        const nonce = new Uint8Array(32).fill(7)
        raw.write(encodeChallenge(nonce))
        await target.until(() => Buffer.concat(raw.received).length >= 37, 'its challenge')
        const challenge = Buffer.concat(raw.received)
        assert.equal(challenge[0], FrameType.challenge)
        raw.write(encodeHello(forger, nonce, challenge.subarray(5, 37)))
        await raw.closed
        await target.until(() => said(target, 'warn', /Refused node 1 .*not signed by its key/), 'the line')
      },
      { kind },
    )
  })
}

test('frames before the greeting, malformed greetings and frames above the maximum end the connection', async () => {
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [encodeFrame(3, new Uint8Array(10)), /something before it greets/],
    [encodeFrame(FrameType.ping, new Uint8Array(8)), /something before it greets/],
    [encodeFrame(FrameType.challenge, new Uint8Array(31)), /CHALLENGE is malformed/],
    [encodeFrame(FrameType.hello, new Uint8Array(0)), /wrong order/],
    [encodeFrame(3, new Uint8Array(2000)).subarray(0, 5), /frame too long/],
    [Buffer.from('GET / HTTP/1.1\r\n\r\n'), /unknown frame type/],
  ]
  for (const [bytes, pattern] of cases) {
    await withTarget(async (target, self, peer) => {
      const raw = await rawTls(self.self.address, peer.privateKey, peer.self.keyId)
      raw.write(bytes)
      await raw.closed
      await target.until(() => said(target, 'warn', pattern), String(pattern))
    })
  }
})

test('a second process with the key of a node that is connected is refused, and the first keeps its link', async () => {
  const keys = makeKeys(2)
  const [own, other] = keys as [KeyObject, KeyObject]
  const addresses = await freeAddresses(3)
  const epoch = makeTestEpoch({ keys, addresses: addresses.slice(0, 2) })
  const node = await openNode(makeMembers(epoch, own), 'tls')
  const first = await openNode(makeMembers(epoch, other), 'tls')
  await node.until(() => node.links.figures()[0]?.up === true, 'the link')
  const twin = await openNode(makeMembers(epoch, other), 'tls', addresses[2])
  try {
    await node.until(() => said(node, 'error', /another process with the same key/), 'the line')
    await twin.until(() => said(twin, 'error', /another process with the same key/), 'the line at the twin')
    assert.equal(first.links.figures()[0]?.up, true)
    // Both ends may have dialled: the second link then took the place of the first one.
    assert.equal(first.changes.at(-1), '+0')
    // The twin tries again and again, and it is said once; when its link stays, it is news.
    const times = (pattern: RegExp): number => twin.lines.filter(({ message }) => pattern.test(message)).length
    await twin.until(() => twin.changes.length >= 6, 'two more tries')
    assert.deepEqual([times(/^Linked with/), times(/^The link .* ended/), times(/^Was refused/)], [1, 1, 1])
    await first.links.close()
    await twin.until(() => times(/^Linked with/) === 2, 'a link that stays')
  } finally {
    await Promise.all([node, first, twin].map(({ links }) => links.close()))
  }
})

test('a node that stands still while it asks whether a peer lives does not take that for the silence of the peer', async () => {
  await withTarget(async (target, self, peer) => {
    const first = await rawLinked(target, self, peer)
    const twin = await rawTls(self.self.address, peer.privateKey, peer.self.keyId)
    const nonce = new Uint8Array(32).fill(7)
    twin.write(encodeChallenge(nonce))
    await target.until(() => Buffer.concat(twin.received).length >= 37, 'its challenge')
    const challenge = Buffer.concat(twin.received).subarray(5, 37)
    let answered = first.received.length
    twin.write(encodeHello({ ...peer, instance: randomBytes(16) }, nonce, challenge))
    const refused = (): boolean => said(target, 'error', /another process with the same key/)
    for (let turn = 0; turn < 40 && !refused(); turn++) {
      const asked = first.received.length
      // One turn of the event loop, behind which nothing runs for a while.
      await new Promise(setImmediate)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250)
      // The peer stands still as well: it answers a turn later.
      if (asked > answered) first.write(encodeFrame(FrameType.pong, new Uint8Array(8)))
      answered = asked
    }
    assert.ok(refused())
    assert.deepEqual(target.changes, ['+1'])
    first.close()
  })
})

test('a stranger without certificate does not get through over quic, and the node serves on', async () => {
  const library = await loadQuic()
  assert.ok(!(library instanceof Error))
  const keys = makeKeys(2)
  const [own, other] = keys as [KeyObject, KeyObject]
  const addresses = await freeAddresses(2)
  const epoch = makeTestEpoch({ keys, addresses })
  const node = await openNode(makeMembers(epoch, own), 'quic')
  try {
    const session = library.connectQuic(addresses[0] ?? '', {
      runtimeMode: 'portable',
      alpn: [ALPN],
      rejectUnauthorized: false,
      connectTimeoutMs: 3000,
    })
    session.on('error', () => {})
    const closed = new Promise<void>((resolve) => session.once('close', () => resolve()))
    const opened = await session.ready().then(
      () => true,
      () => false,
    )
    if (opened) await closed
    await session.close().catch(() => {})
    const peer = await openNode(makeMembers(epoch, other), 'quic')
    await peer.until(() => peer.links.figures()[0]?.up === true, 'a link of the true peer')
    await peer.links.close()
  } finally {
    await node.links.close()
  }
})
