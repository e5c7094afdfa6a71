import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { DCLinter } from 'dclint'
import { validate } from 'dockerfile-utils'
import { StatefulSet } from 'kubernetes-models/apps/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { Service } from 'kubernetes-models/v1'
import { parse, parseAllDocuments } from 'yaml'

/**
 * The image, the compose file and the Kubernetes manifests, as far as they can be checked where no containers run: syntax and
 * schemas by other people's validators, and that what they name is there and fits together.
 */

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const program = join(root, 'packages/concordmq/bin/concordmq.js')
const folder = mkdtempSync(join(tmpdir(), 'concordmq-deploy-'))
after(() => rmSync(folder, { recursive: true }))

describe('Dockerfile', () => {
  const text = read('Dockerfile')
  const last = text.slice(text.lastIndexOf('\nFROM '))

  test('has no mistakes', () => {
    assert.deepEqual(validate(text), [])
    assert.notDeepEqual(validate(text.replace('HEALTHCHECK --interval=', 'HEALTHCHECK --intervall=')), [])
  })

  test('ends in an image that is not root, says how it is, and has neither sources nor build tools', () => {
    assert.match(last, /^USER 1000:1000$/mu)
    assert.match(last, /^HEALTHCHECK .*\n +CMD .*\/healthz/mu)
    assert.doesNotMatch(last, /^COPY (?!--from=program \/opt\/concordmq )/mu)
  })

  test('brings QUIC as the checkout does', () => {
    interface Manifest {
      readonly dependencies?: Readonly<Record<string, string>>
      readonly devDependencies?: Readonly<Record<string, string>>
      readonly overrides: unknown
    }
    const image = JSON.parse(read('deploy/image/package.json')) as Manifest
    const checkout = JSON.parse(read('package.json')) as Manifest
    const name = '@currentspace/http3'
    assert.equal(image.dependencies?.[name], checkout.devDependencies?.[name])
    assert.deepEqual(image.overrides, checkout.overrides)
  })
})

describe('compose.yaml', () => {
  const path = join(root, 'deploy/compose.yaml')

  test('is of the schema, and follows the rules of dclint but those of taste', () => {
    const rules = {
      // The image is built from this checkout, and has no other tag than the name it is given.
      'no-build-and-image': 0,
      'service-image-require-explicit-tag': 0,
      // Clients come from other machines.
      'no-unbound-port-interfaces': 0,
      'service-keys-order': 0,
    } as const
    assert.deepEqual(lint(path, rules), [])
  })

  test('would not pass with a key that does not exist', () => {
    const damaged = join(folder, 'compose.yaml')
    writeFileSync(damaged, read('deploy/compose.yaml').replace('cap_drop:', 'capdrop:'))
    assert.match(lint(damaged, {}).join(), /invalid-schema/u)
  })

  test('starts four nodes of one book, each with its own key, with arguments that the program takes', () => {
    const { services } = parse(readFileSync(path, 'utf8'), { merge: true }) as {
      readonly services: Readonly<Record<string, { readonly command: readonly string[] }>>
    }
    const names = Object.keys(services)
    assert.equal(names.length, 4)
    const directory = bookOf(names.map((name) => `${name}:19793`))
    const nodes = Object.values(services).map(({ command }) => checked(command, directory))
    assert.deepEqual(nodes, [0, 1, 2, 3])
  })
})

/** What dclint, whose own declarations do not resolve, finds. */
function lint(path: string, rules: Readonly<Record<string, 0>>): string[] {
  const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] })
  const results = linter.lintFiles([path], false) as readonly {
    readonly messages: readonly { readonly line: number; readonly rule: string; readonly message: string }[]
  }[]
  return results.flatMap(({ messages }) => messages.map(({ line, rule, message }) => `${line} ${rule}: ${message}`))
}

describe('Kubernetes manifests', () => {
  const documents = parseAllDocuments(read('deploy/kubernetes/concordmq.yaml'), { merge: true })
  const named = new Map<string, unknown>()

  before(() => {
    for (const document of documents) {
      assert.deepEqual([...document.errors, ...document.warnings], [])
      const { kind, metadata } = document.toJS() as { readonly kind: string; readonly metadata: { name: string } }
      named.set(`${kind}/${metadata.name}`, document.toJS())
    }
  })

  const set = (): StatefulSet => new StatefulSet(named.get('StatefulSet/concordmq') as never)
  const budget = (): PodDisruptionBudget => new PodDisruptionBudget(named.get('PodDisruptionBudget/concordmq') as never)

  test('are of the schemas of their kinds, and there are no others', () => {
    const services = ['concordmq-nodes', 'concordmq'].map((name) => new Service(named.get(`Service/${name}`) as never))
    for (const resource of [...services, set(), budget()]) resource.validate()
    assert.equal(named.size, 4)
    const damaged = { ...(named.get('StatefulSet/concordmq') as object), spec: { replicas: 'four' } }
    assert.throws(() => new StatefulSet(damaged as never).validate())
  })

  test('let at most f nodes be away at once, and no two be on one machine', () => {
    const nodes = set().spec?.replicas ?? 0
    assert.equal(budget().spec?.maxUnavailable, Math.floor((nodes - 1) / 3))
    const apart = set().spec?.template.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    assert.equal(apart?.[0]?.topologyKey, 'kubernetes.io/hostname')
  })

  test('select the pods that the set makes, and start all of them at once', () => {
    const { spec } = set()
    const labels = spec?.template.metadata?.labels
    assert.ok(labels)
    assert.deepEqual(spec?.selector.matchLabels, labels)
    assert.deepEqual(budget().spec?.selector?.matchLabels, labels)
    for (const name of ['concordmq-nodes', 'concordmq'])
      assert.deepEqual(new Service(named.get(`Service/${name}`) as never).spec?.selector, labels)
    assert.equal(new Service(named.get('Service/concordmq-nodes') as never).spec?.publishNotReadyAddresses, true)
    assert.equal(spec?.podManagementPolicy, 'Parallel')
  })

  test('probe what the program serves, keep data on a volume, and pass arguments that the program takes', () => {
    const pod = set().spec?.template.spec
    const [container] = pod?.containers ?? []
    assert.equal(container?.livenessProbe?.httpGet?.path, '/healthz')
    assert.equal(container?.readinessProbe?.httpGet?.path, '/readyz')
    const volume = set().spec?.volumeClaimTemplates?.[0]?.metadata?.name
    const mounted = container?.volumeMounts?.find(({ name }) => name === volume)
    assert.equal(mounted?.mountPath, '/concordmq.d/data')
    const directory = bookOf([0, 1, 2, 3].map((node) => `concordmq-${node}.concordmq-nodes:19793`))
    const args = (container?.args ?? []).map((arg) => arg.replace('key.pem', 'key_2.pem'))
    assert.equal(checked(args, directory), 2)
  })
})

/** A directory with keys, book and a user, as the guide has it made. */
function bookOf(addresses: readonly string[]): string {
  const directory = mkdtempSync(join(folder, 'directory-'))
  concordmq(['address-book', 'from-list', ...addresses, '-O', directory])
  concordmq(['user', 'add', '-O', join(directory, 'users.toml')], 'myagent\nmypassword\n')
  return directory
}

/** Has the program check what it would be started with, and gives the number of the key. */
function checked(args: readonly string[], directory: string): number {
  const [run, ...flags] = args
  assert.equal(run, 'run')
  concordmq(['config', 'check', ...flags.map((flag) => flag.replace('/concordmq.d', directory)), directory])
  return Number(/key_(\d)\.pem/u.exec(args.join(' '))?.[1])
}

function concordmq(args: readonly string[], input = ''): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { input, encoding: 'utf8' })
  assert.equal(status, 0, `concordmq ${args.join(' ')}\n${stdout}${stderr}`)
}
