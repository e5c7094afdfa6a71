/** Reading what a control request carries: each field by its type, unknown ones refused. */
import { didYouMean } from '../config/suggest.ts'
import { ControlError } from './control-error.ts'

type FieldType = 'text' | 'integer' | 'boolean'
type ValueOf<T> = T extends 'text' ? string : T extends 'integer' ? number : boolean

const fits: Readonly<Record<FieldType, (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string',
  integer: (value) => Number.isSafeInteger(value),
  boolean: (value) => typeof value === 'boolean',
}

/** The fields of a body, each undefined where it is not given. */
export function readBody<const T extends Readonly<Record<string, FieldType>>>(
  body: unknown,
  fields: T,
): { readonly [P in keyof T]: ValueOf<T[P]> | undefined } {
  if (body === undefined) return {} as never
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ControlError(400, 'The body of a request must be a JSON object')
  }
  for (const [name, value] of Object.entries(body)) {
    const type = fields[name]
    if (type === undefined) {
      throw new ControlError(400, `"${name.slice(0, 40)}" is no field${didYouMean(name, Object.keys(fields))}`)
    }
    if (!fits[type](value)) throw new ControlError(400, `"${name}" must be ${type === 'text' ? 'text' : `a ${type}`}`)
  }
  return body as never
}
