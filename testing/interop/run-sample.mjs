/**
 * Runs a JavaScript file as it stands, with other ports than those written in it:
 *
 *     node run-sample.mjs 8080=40003 FILE
 *
 * The sample of the FoxMQ document has both `require()` and `await` on its top level, as a REPL takes it; Node takes the two
 * together in no file. So its text becomes the body of an async function that is given `require`.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'

const require = createRequire(import.meta.url)
const [, , pairs = '', file = ''] = process.argv
const ports = new Map(pairs.split(',').map((pair) => /** @type {[string, string]} */ (pair.split('='))))

const net = require('node:net')
const { connect } = net
net.connect = (/** @type {{ port: string | number }} */ options, /** @type {unknown[]} */ ...rest) =>
  connect({ ...options, port: Number(ports.get(String(options.port))) }, ...rest)

const AsyncFunction = /** @type {FunctionConstructor} */ ((async () => {}).constructor)
await new AsyncFunction('require', readFileSync(file, 'utf8'))(require)
