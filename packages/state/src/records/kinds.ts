/** The first byte of every record: what it is. Part of the snapshot format, of the hash and of the forms on disk. */
export const RecordKind = {
  clock: 0,
  node: 1,
  message: 2,
  session: 3,
  subscription: 4,
  queuePart: 5,
  retained: 6,
  shareGroup: 7,
  will: 8,
  /** On disk only: see `messages/shelf.ts`. */
  chunk: 9,
  /** A document of operators: see `admin/`. */
  admin: 10,
} as const
