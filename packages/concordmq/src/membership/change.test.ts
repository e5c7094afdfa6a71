import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto'
import { test } from 'node:test'
import { genesisOf, keyOfPoint, pointOf } from '@concordmq/broker'
import { authorityProblem, reconfigurationProblem } from '@concordmq/consensus'
import { changeOf, makeChange, readChangeFile, signChange } from './change.ts'

const keys = Array.from({ length: 6 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const operators = keys.slice(4)
const book = keys.slice(0, 4).map((key, i) => ({ publicKey: createPublicKey(key), address: `10.0.0.${i}:19793` }))
const epoch = genesisOf(book, 'test', { threshold: 2, keys: operators.map((key) => createPublicKey(key)) })
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const answer = {
  epoch: epoch.number,
  hash: hex(epoch.hash),
  nodes: epoch.nodes.map(({ publicKey, address }) => ({ publicKey: hex(publicKey), address })),
  operators: { threshold: 2, keys: epoch.operators.keys.map(hex) },
}
const holds = {
  cryptography: {
    verify: (point: Uint8Array, bytes: Uint8Array, signature: Uint8Array) =>
      verify('sha256', bytes, { key: keyOfPoint(point) as KeyObject, dsaEncoding: 'ieee-p1363' }, signature),
    certifies: () => 'there are no certificates here',
  },
  atUs: 0,
  everNodes: [],
}
const newcomer = createPublicKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)

test('a change is good when as many operators as must be have signed it, in any order', () => {
  const step = { type: 'replace', node: '2', publicKey: newcomer, address: '10.0.0.9:19793' } as const
  const once = signChange(makeChange(answer, step), operators[1] as KeyObject, 'b')
  assert.match(authorityProblem(epoch, changeOf(once), holds) ?? '', /^1 operators signed it .*, 2 must$/)
  const twice = signChange(readChangeFile(JSON.stringify(once), 'x'), operators[0] as KeyObject, 'a')
  const change = changeOf(twice)
  assert.equal(reconfigurationProblem(epoch, change), undefined)
  assert.equal(authorityProblem(epoch, change, holds), undefined)
  assert.deepEqual(change.nodes[2], { publicKey: pointOf(newcomer), address: '10.0.0.9:19793' })
  assert.throws(() => signChange(twice, keys[0] as KeyObject, 'n.pem'), {
    message: /n\.pem is not that of an operator/,
  })
})

test('a node that is removed leaves its number to the last one', () => {
  const addresses = (node: string): string[] =>
    changeOf(makeChange(answer, { type: 'remove', node })).nodes.map(({ address }) => address)
  assert.deepEqual(addresses('1'), ['10.0.0.0:19793', '10.0.0.3:19793', '10.0.0.2:19793'])
  assert.deepEqual(addresses('10.0.0.3:19793'), ['10.0.0.0:19793', '10.0.0.1:19793', '10.0.0.2:19793'])
  assert.throws(() => addresses('9'), { message: /has no node "9"/ })
})

test('a node is not added under a key or an address that is there, and a damaged file is refused', () => {
  const add = (publicKey: KeyObject, address: string) => () => makeChange(answer, { type: 'add', publicKey, address })
  assert.throws(add(book[1]?.publicKey as KeyObject, 'x:1'), { message: /is that of node 1 already/ })
  assert.throws(add(newcomer, '10.0.0.3:19793'), { message: /is that of node 3 already/ })
  assert.throws(() => readChangeFile('{', 'c.json'), { message: /c\.json is no change of a cluster: it is not JSON/ })
  assert.throws(() => readChangeFile('{"format":"concordmq-change/1"}', 'c'), { message: /a part of it is missing/ })
})
