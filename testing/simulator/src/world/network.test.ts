import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Agenda } from './agenda.ts'
import { type DelayShape, delaysOf } from './delays.ts'
import { drawsFrom } from './draws.ts'
import { Network } from './network.ts'

const control = 4
const block = 3

function makeNetwork({ shape = 'tail' as DelayShape, loss = 0, duplication = 0, n = 3 } = {}) {
  const agenda = new Agenda()
  const draws = drawsFrom(11)
  const arrived: { from: number; to: number; frame: number[]; atUs: number }[] = []
  const links: { node: number; peer: number; up: boolean }[] = []
  const network = new Network({
    n,
    agenda,
    draws,
    delays: delaysOf({ n, shape, baseUs: 1_000, farTimes: 10, draws: draws.stream('delays') }),
    faults: { loss, duplication },
    deliver: (from, to, frame) => arrived.push({ from, to, frame: [...frame], atUs: agenda.nowUs }),
    link: (node, peer, up) => links.push({ node, peer, up }),
  })
  for (let node = 0; node < n; node++) network.nodeUp(node)
  while (agenda.next());
  const send = (from: number, to: number, ...frame: number[]): void => network.send(from, to, Uint8Array.from(frame))
  return { agenda, network, arrived, links, send }
}

test('Network brings up each link on both sides once', () => {
  const { links } = makeNetwork()
  assert.equal(links.length, 6)
  assert.equal(new Set(links.map(({ node, peer, up }) => `${node}${peer}${up}`)).size, 6)
})

test('Network keeps the order within a stream, and not among streams', () => {
  const { agenda, arrived, send } = makeNetwork()
  for (let i = 0; i < 200; i++) send(0, 1, i % 2 === 0 ? control : block, i)
  while (agenda.next());
  assert.equal(arrived.length, 200)
  for (const type of [control, block]) {
    const numbers = arrived.filter(({ frame }) => frame[0] === type).map(({ frame }) => frame[1] as number)
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    )
  }
  const all = arrived.map(({ frame }) => frame[1] as number)
  assert.notDeepEqual(
    all,
    all.toSorted((a, b) => a - b),
  )
})

test('Network loses and doubles about as many frames as it is told', () => {
  const { agenda, arrived, send } = makeNetwork({ loss: 0.5, duplication: 0.5 })
  for (let i = 0; i < 2_000; i++) send(0, 1, control)
  while (agenda.next());
  assert.ok(arrived.length > 1_350 && arrived.length < 1_650, `${arrived.length} of 2000 arrived`)
})

test('A cut holds frames back or drops them, in its direction only, until it is mended', () => {
  const { agenda, network, arrived, send } = makeNetwork()
  network.cut(0, 1, 'hold')
  network.cut(0, 2, 'drop')
  send(0, 1, control, 1)
  send(0, 2, control, 2)
  send(1, 0, control, 3)
  while (agenda.next());
  assert.deepEqual(
    arrived.map(({ frame }) => frame[1]),
    [3],
  )
  network.mend()
  while (agenda.next());
  assert.deepEqual(
    arrived.map(({ frame }) => frame[1]),
    [3, 1],
  )
})

test('A reset loses what is on its way, tells both sides, and the link comes back', () => {
  const { agenda, network, arrived, links, send } = makeNetwork()
  links.length = 0
  send(0, 1, control, 1)
  network.reset(0, 1)
  send(0, 1, control, 2)
  while (agenda.next());
  assert.deepEqual(arrived, [])
  assert.deepEqual(
    links.map(({ node, up }) => `${node} ${up}`),
    ['0 false', '1 false', '0 true', '1 true'],
  )
  send(0, 1, control, 3)
  while (agenda.next());
  assert.equal(arrived.length, 1)
})

test('A node that is down gets nothing, its peers learn of it, and a fast restart breaks the old link first', () => {
  const { agenda, network, arrived, links, send } = makeNetwork()
  links.length = 0
  send(1, 0, control, 1)
  network.nodeDown(0)
  network.nodeUp(0)
  while (agenda.next());
  assert.deepEqual(arrived, [])
  for (const peer of [1, 2]) {
    assert.deepEqual(
      links.filter(({ node }) => node === peer).map(({ up }) => up),
      [false, true],
      `Node ${peer}`,
    )
  }
})
