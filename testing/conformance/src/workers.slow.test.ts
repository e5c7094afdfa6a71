/** The whole suite once more, with brokers that serve with four threads: what they promise is the same. */
import { test } from 'node:test'
import { outside } from './target.ts'
import { passWholeSuite } from './whole-suite.ts'

test('brokers with 4 workers pass the whole suite', { skip: outside }, async () => {
  await passWholeSuite({ CONCORDMQ_TEST_WORKERS: '4' })
})
