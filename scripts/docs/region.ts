/** Replaces what stands between the marks of a generated region in a document that is otherwise written by hand. */

/** The text with the new region, between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. Throws if a mark is missing. */
export function withRegion(text: string, name: string, region: string): string {
  const open = `<!-- generated: ${name} -->`
  const close = `<!-- end: ${name} -->`
  const from = text.indexOf(open)
  const to = text.indexOf(close)
  if (from < 0 || to < from) throw new Error(`There is no region "${name}": mark it with ${open} and ${close}`)
  return `${text.slice(0, from)}${open}\n${region}\n${text.slice(to)}`
}
