import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import { flags, givenFlags } from '../config/flags.ts'
import { isPath } from '../config/keys.ts'
import { addRun } from './run.ts'

function parse(...argv: string[]) {
  const program = new Command()
  addRun(program)
  const run = program.commands[0]
  assert.ok(run !== undefined)
  run.action(() => {})
  program.parse(['run', ...argv], { from: 'user' })
  return { given: givenFlags(run), args: run.args }
}

test('every flag sets a key of its own', () => {
  for (const { path } of flags) assert.ok(isPath(path), path)
  assert.equal(new Set(flags.map(({ path }) => path)).size, flags.length)
})

test('run takes the flags of the FoxMQ document in all their forms', () => {
  const { given, args } = parse(
    '-f',
    'k.pem',
    '-L',
    '0.0.0.0:1884',
    '-C0.0.0.0:19794',
    '--mqtts',
    '--log=json',
    'foxmq.d',
    '--websockets',
  )
  assert.deepEqual(args, ['foxmq.d'])
  assert.deepEqual(
    given.map(({ path, flag, values }) => [path, flag, values]),
    [
      ['secret-key-file', '--secret-key-file', ['k.pem']],
      ['mqtt.addr', '--mqtt-addr', ['0.0.0.0:1884']],
      ['cluster.addr', '--cluster-addr', ['0.0.0.0:19794']],
      ['mqtts.enabled', '--mqtts', true],
      ['websockets.enabled', '--websockets', true],
      ['log.format', '--log', ['json']],
    ],
  )
})

test('run takes an address flag several times', () => {
  const { given } = parse('-L', '127.0.0.1:1', '-L', '[::1]:1')
  assert.deepEqual(given, [{ path: 'mqtt.addr', flag: '--mqtt-addr', values: ['127.0.0.1:1', '[::1]:1'] }])
})

test('run sets nothing that was not given', () => {
  assert.deepEqual(parse().given, [])
})
