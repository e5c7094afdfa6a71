/**
 * `npm run check:version`: one version number for the workspace, one Node floor, one set of exact dependency versions.
 *
 * All packages are released together, so a package that names another names exactly its own version. Versions from outside
 * are exact too: what was tested is what is installed.
 */
import { globSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { nodeFloor } from '../packages/concordmq/bin/check-node.js'

interface Manifest {
  readonly name: string
  readonly version?: string
  readonly private?: boolean
  readonly license?: string
  readonly engines?: { readonly node?: string }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL('..', import.meta.url))
const paths = globSync(['package.json', '{packages,plugins,testing}/*/package.json'], { cwd: root }).sort()
const manifests = paths.map((path) => ({
  path,
  manifest: JSON.parse(readFileSync(root + path, 'utf8')) as Manifest,
}))
const version = manifests.find(({ path }) => path === 'package.json')?.manifest.version
const own = new Set(manifests.map(({ manifest }) => manifest.name))
const chosen = new Map<string, string>()
const problems: string[] = []

for (const { path, manifest } of manifests) {
  const complain = (text: string): number => problems.push(`${path}: ${text}`)
  if (manifest.version !== version) complain(`version is ${manifest.version}, the workspace's is ${version}`)
  if (manifest.license !== 'Apache-2.0') complain(`license is ${manifest.license}, not Apache-2.0`)
  const isPublic = manifest.private !== true || path === 'package.json'
  if (isPublic && manifest.engines?.node !== `>=${nodeFloor}`) {
    complain(`engines.node is ${manifest.engines?.node}, the floor in check-node.js is >=${nodeFloor}`)
  }
  const named = { ...manifest.devDependencies, ...manifest.optionalDependencies, ...manifest.dependencies }
  for (const [name, wanted] of Object.entries(named)) {
    if (own.has(name) && wanted !== version)
      complain(`${name} is wanted as ${wanted}, the workspace's version is ${version}`)
    if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/u.test(wanted))
      complain(`${name} is wanted as ${wanted}, which is no exact version`)
    const other = chosen.get(name)
    if (other !== undefined && other !== wanted) complain(`${name} is wanted as ${wanted}, elsewhere as ${other}`)
    chosen.set(name, wanted)
  }
}
if (!readFileSync(`${root}CHANGELOG.md`, 'utf8').includes(`## ${version}`)) {
  problems.push(`CHANGELOG.md: no section for ${version}`)
}

for (const problem of problems) process.stdout.write(`${problem}\n`)
process.stdout.write(`version: ${version} in ${manifests.length} manifests, ${problems.length} problems\n`)
process.exitCode = problems.length === 0 ? 0 : 1
