/** Standard output that is gone or full. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startShell } from '../program.testkit.ts'

const skip = process.platform !== 'linux'

test('a reader that has seen enough is no error', { skip }, async () => {
  const { ended, output } = startShell('concordmq completion bash | true')
  assert.equal(await ended, 0)
  assert.equal(output.stderr, '')
})

test('a result that cannot be written ends with 74 and the reason, without a stack trace', { skip }, async () => {
  for (const command of ['completion bash', '--help', 'config show', 'user generate a b']) {
    const { ended, output } = startShell(`concordmq ${command} > /dev/full`)
    assert.equal(await ended, 74, command)
    assert.match(output.stderr, /^(Warning: .*\n)?concordmq: Cannot write to standard output: the disk is full\n$/)
  }
})

test('a node goes on without its log', { skip }, async () => {
  const node = startShell(
    `"$node" "$bin" run --allow-anonymous-login -L off --unix mq.sock --http-addr off > /dev/full & pid=$!
    until [ -S mq.sock ]; do kill -0 $pid || exit 1; done; kill $pid; wait $pid`,
  )
  assert.equal(await node.ended, 0, node.output.stderr)
})
