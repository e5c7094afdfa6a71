#!/usr/bin/env node
/**
 * The program `concordmq`: checks the Node version, then loads the program itself.
 *
 * In a checkout that is TypeScript, which Node runs by stripping types; in the published package it is `dist`, because Node
 * refuses TypeScript below `node_modules`. An old Node could load neither, so nothing but this file and the check may be
 * imported before the check has spoken.
 */
import { existsSync } from 'node:fs'
import process from 'node:process'
import { nodeProblem } from './check-node.js'

const source = new URL('../src/main.ts', import.meta.url)
const checkout = existsSync(source)
const problem = nodeProblem(process.versions.node, { checkout })
if (problem === undefined) {
  const { main } = await import((checkout ? source : new URL('../dist/main.js', import.meta.url)).href)
  process.exitCode = await main(process.argv.slice(2))
} else {
  process.stderr.write(problem + '\n')
  // EX_CONFIG of sysexits(3), as for any other wrong set-up.
  process.exitCode = 78
}
