/** Settings of a running node: what is in force, one value at run time, and reading the files again (row U20). */
import { isDeepStrictEqual } from 'node:util'
import { fromText } from '../config/environment.ts'
import { changeWords, type Key } from '../config/key-types.ts'
import { allPaths, isPath, keys, type Path, variableOf } from '../config/keys.ts'
import { saveSetting } from '../config/save-setting.ts'
import { didYouMean } from '../config/suggest.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler, ControlledNode } from './controlled-node.ts'
import { readBody } from './read-body.ts'

/** `ctl settings set` is what a value comes from until the files are read again. */
export const runTimeOrigin = 'settings set'

export const listSettings: ControlHandler = ({ query }, { reload }) => {
  const text = query.get('filter') ?? ''
  return { items: allPaths.filter((path) => path.includes(text)).map((path) => shown(path, reload)) }
}

export const showSetting: ControlHandler = ({ names: [name = ''] }, { reload }) => shown(requirePath(name), reload)

export const setSetting: ControlHandler = async ({ names: [name = ''], body }, { reload, plan }) => {
  const path = requirePath(name)
  const key: Key<unknown> = keys[path]
  const { value, save } = readBody(body, { value: 'text', save: 'boolean' })
  if (value === undefined) throw new ControlError(400, `The value for ${path} is missing`)
  if (key.secret) throw new ControlError(400, `${path} is a secret: it is read at the start, from the environment`)
  const effect = changeWords[key.change]
  if (key.change === 'restart' && save !== true) {
    throw new ControlError(
      409,
      `${path} cannot change while the node runs`,
      'Add --save to write it to concordmq.toml for the next start',
    )
  }
  const assignment = { path, value: fromText(key, value), origin: runTimeOrigin, base: process.cwd() }
  const { configuration } = plan
  const set = await reload.set(assignment, {
    save: save === true ? (next) => saveSetting(configuration, path, next.settings[path]) : undefined,
  })
  return {
    key: path,
    from: set.from,
    to: set.to,
    effect,
    saved: set.saved ?? null,
    overridden: save ? overriddenBy(path, reload) : null,
  }
}

export const reloadFiles: ControlHandler = (_request, { reload }) => reload.request()

function shown(path: Path, reload: ControlledNode['reload']) {
  const { started, current } = reload
  const key: Key<unknown> = keys[path]
  const mask = (value: unknown): unknown => (key.secret && value !== undefined ? '(hidden)' : (value ?? null))
  const waits = key.change === 'restart' && !isDeepStrictEqual(started.settings[path], current.settings[path])
  const inForce = waits ? started : current
  return {
    key: path,
    value: mask(inForce.settings[path]),
    origin: inForce.origins.get(path) ?? 'default',
    effect: changeWords[key.change],
    ...(waits && { next: mask(current.settings[path]) }),
    about: key.about,
    variable: variableOf(path),
  }
}

/** A flag or variable that will win over the file at the next start. */
function overriddenBy(path: Path, { started }: ControlledNode['reload']): string | null {
  const origin = started.origins.get(path)
  return origin === undefined || origin === started.file ? null : origin
}

function requirePath(name: string): Path {
  if (isPath(name)) return name
  throw new ControlError(404, `There is no setting "${name}"${didYouMean(name, allPaths)}`)
}
