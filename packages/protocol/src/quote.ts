/** How a text of unknown length stands in a message: in quotation marks, its end cut off. */

const charsMax = 64

/** `text` in quotation marks, at most 64 characters of it. */
export function quote(text: string): string {
  return text.length > charsMax ? `"${text.slice(0, charsMax)}…"` : `"${text}"`
}
