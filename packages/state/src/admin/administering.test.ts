import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterHarness } from '../../testing/cluster-harness.ts'
import { Disk } from '../../testing/disk.ts'
import { hex } from '../../testing/harness.ts'
import type { AdminCommand } from '../commands/commands.ts'
import { Machine } from '../machine.ts'
import { Survey } from '../saving/survey.ts'
import {
  ADMIN_TEXT_BYTES_MAX,
  type AdminDocument,
  type AdminSignature,
  adminContent,
  type Judge,
} from './admin-document.ts'

/** In the place of a signature: the operator's number, and how long the content is. */
const signedBy = (document: AdminDocument, ...operators: readonly number[]): AdminSignature[] =>
  operators.map((operator) => {
    const signature = new Uint8Array(64).fill(operator + 1)
    new DataView(signature.buffer).setUint32(0, adminContent(document).length)
    return { operator, signature }
  })

const twoMustSign: Judge = (content, signatures) => {
  const valid = signatures.filter(
    ({ operator, signature }) =>
      signature[63] === operator + 1 &&
      new DataView(signature.buffer, signature.byteOffset).getUint32(0) === content.length,
  )
  return valid.length >= 2 ? undefined : `${valid.length} operators signed it, 2 must`
}

const document = (version: number, text: string | undefined = 'x'.repeat(version)): AdminDocument => ({
  subject: 'permissions',
  version,
  text: text === undefined ? undefined : new TextEncoder().encode(text),
})

const admin = (given: AdminDocument, ...operators: readonly number[]): AdminCommand => ({
  type: 'admin',
  document: given,
  signatures: signedBy(given, ...operators),
})

function cluster(): ClusterHarness {
  const h = new ClusterHarness()
  h.machine.judge = twoMustSign
  h.start(0)
  h.start(1)
  return h
}

/** What the machine says to a command of node 0, and whether anything is in force that was not before. */
let number = 0
function ordered(h: ClusterHarness, ...commands: readonly AdminCommand[]): { answers: string[]; came: string[] } {
  const answers: string[] = []
  const came: string[] = []
  const bytes = h.bundle(1, ++number, ...commands)
  h.machine.applyBundle(
    { position: h.position++, timeUs: h.timeUs, node: 0, bytes },
    {
      ...h.effects,
      administered: (subject) => came.push(subject),
      answered: (_node, _head, _item, outcome) =>
        void answers.push('detail' in outcome ? `${outcome.type}: ${outcome.detail}` : outcome.type),
    },
  )
  return { answers, came }
}

test('a document comes into force at its place when enough operators signed it, and a later one takes its place', () => {
  number = 0
  const h = cluster()
  assert.deepEqual(ordered(h, admin(document(1), 0, 2)), { answers: ['done'], came: ['permissions'] })
  const [first] = h.machine.admin.values()
  assert.deepEqual([first?.document.version, first?.position], [1, h.position - 1])
  assert.deepEqual(ordered(h, admin(document(7), 1, 2)), { answers: ['done'], came: ['permissions'] })
  const users = { ...document(1), subject: 'users' } as const
  assert.deepEqual(ordered(h, admin(users, 0, 1)), { answers: ['done'], came: ['users'] })
  assert.deepEqual(
    [...h.machine.admin.values()].map((one) => [one.subject, one.document.version]),
    [
      ['permissions', 7],
      ['users', 1],
    ],
  )
})

test('an older version, or the same one again, changes nothing and is counted', () => {
  number = 0
  const h = cluster()
  ordered(h, admin(document(5), 0, 1))
  const before = hex(h.machine.hash())
  for (const version of [5, 4]) {
    const { answers, came } = ordered(h, admin(document(version, 'other'), 0, 1))
    assert.deepEqual(answers, [`rejected: version 5 is in force, and version ${version} is not later`])
    assert.deepEqual(came, [])
  }
  assert.equal(h.machine.counters.adminRefused, 2)
  assert.notEqual(hex(h.machine.hash()), before)
  assert.equal(new TextDecoder().decode(h.machine.admin.get('permissions')?.document.text), 'xxxxx')
})

test('too few signatures, a wrong one, one operator twice, and no operators at all are no-ops', () => {
  number = 0
  const h = cluster()
  assert.deepEqual(ordered(h, admin(document(1), 0)).answers, ['rejected: 1 operators signed it, 2 must'])
  const other = { ...admin(document(1), 0, 1), document: document(2) }
  assert.deepEqual(ordered(h, other).answers, ['rejected: 0 operators signed it, 2 must'])
  const twice = { ...admin(document(1), 0), signatures: [...signedBy(document(1), 0), ...signedBy(document(1), 0)] }
  assert.deepEqual(ordered(h, twice).answers, ['malformed: operators are not in order'])
  assert.equal(h.machine.admin.size, 0)
  assert.equal(h.machine.counters.adminRefused, 2)
  number = 0
  const nobody = new ClusterHarness()
  nobody.start(0)
  assert.deepEqual(ordered(nobody, admin(document(1), 0, 1)).answers, [
    'rejected: nobody may: there are no operators here',
  ])
})

test('one document of a bundle is looked at, and none that is too long', () => {
  number = 0
  const h = cluster()
  assert.deepEqual(ordered(h, admin(document(1), 0, 1), admin(document(2), 0, 1)).answers, [
    'done',
    'malformed: a bundle has more than one document',
  ])
  const long = document(3, 'x'.repeat(ADMIN_TEXT_BYTES_MAX + 1))
  assert.deepEqual(ordered(h, admin(long, 0, 1)).answers, ['malformed: document is too long'])
  assert.deepEqual(ordered(h, admin(document(4, 'x'.repeat(ADMIN_TEXT_BYTES_MAX)), 0, 1)).answers, ['done'])
})

test('a document of a life of a node that is over does nothing, whoever signed it', () => {
  number = 0
  const h = cluster()
  h.start(0, 2)
  assert.deepEqual(ordered(h, admin(document(1), 0, 1)).answers, ['stale'])
  assert.equal(h.machine.admin.size, 0)
})

test('a withdrawn document leaves its version behind', () => {
  number = 0
  const h = cluster()
  ordered(h, admin(document(3), 0, 1))
  const withdrawn: AdminDocument = { subject: 'permissions', version: 4, text: undefined }
  assert.deepEqual(ordered(h, admin(withdrawn, 0, 1)), { answers: ['done'], came: ['permissions'] })
  assert.equal(h.machine.admin.get('permissions')?.document.text, undefined)
  assert.match(ordered(h, admin(document(3), 0, 1)).answers[0] ?? '', /version 4 is in force/)
})

test('documents are in snapshots, and every replica that applies the same commands has the same hash', () => {
  number = 0
  const h = cluster()
  const replica = cluster()
  for (const given of [
    admin(document(1), 0, 1),
    admin(document(1), 0, 1),
    admin(document(2), 0),
    admin(document(9), 1, 2),
  ]) {
    const before = number
    ordered(h, given)
    number = before
    ordered(replica, given)
  }
  assert.equal(hex(replica.machine.hash()), hex(h.machine.hash()))
  const restored = Machine.restore(h.machine.snapshot(), h.settings)
  assert.ok(restored instanceof Machine)
  assert.equal(hex(restored.hash()), hex(h.machine.hash()))
  assert.deepEqual(restored.admin.get('permissions')?.document, h.machine.admin.get('permissions')?.document)
  // A node that takes the state of others over goes on judging as before.
  const late = cluster()
  late.machine.replaceBy(restored)
  late.position = h.position
  assert.deepEqual(ordered(late, admin(document(10), 0, 1)).answers, ['done'])
})

test('documents are on disk, with the latest version only', () => {
  number = 0
  const h = new ClusterHarness({ durable: true })
  h.machine.judge = twoMustSign
  h.start(0)
  const disk = new Disk()
  for (const version of [1, 2]) {
    ordered(h, admin(document(version), 0, 1))
    disk.log(h.machine.takeDelta())
  }
  const recovered = disk.recover(h.settings)
  if (!(recovered instanceof Machine)) assert.fail(recovered.malformed)
  assert.equal(hex(recovered.hash()), hex(h.machine.hash()))
  assert.equal(recovered.admin.get('permissions')?.document.version, 2)
  const save = h.machine.takeSave()
  disk.apply(save)
  h.machine.saved(save)
  const survey = new Survey(h.settings)
  survey.begin([...disk.records.values()].map(({ key, value }) => [key, value] as const))
  survey.end()
  assert.deepEqual(survey.findings, [])
  assert.deepEqual([...survey.edits], [])
})
