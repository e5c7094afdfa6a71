/*
 * The slot rule with a schedule that changes (consensus.md section 7), for spin: does a node that learns what votes decide in
 * any order, caches what it decides, and changes its schedule between steps, decide what a node decides that knows everything?
 *
 * What votes alone say of a slot is a fact, the same for everybody, known sooner or later or never: commit, skip, or neither.
 * That facts are the same for everybody is what the exhaustive small scope shows (small-scope.test.ts); so is that a block which
 * is an anchor agrees with them. Where the fact is neither, what an anchor says is any choice, but the same for everybody, since
 * it is read from the anchor's history. Left out: messages, blocks, time.
 *
 * Rounds 1 to 5 with two authors, both with slots at first. Rounds 1 and 2 are stepped, rounds 4 and 5 are their anchors; round 3
 * says nothing of either. (-DROUNDS=6 has more anchors, and takes minutes and gigabytes.) After each step the author of the first slot loses its slots if that was skipped, else all have slots:
 * a schedule that any window could bring.
 *
 * KEEP_CACHE keeps decisions over a change of schedule, PASS_UNDECIDED looks for an anchor beyond an undecided slot: errors that
 * spin must find (slot-rule.test.ts).
 */
#define AUTHORS 2
#ifndef ROUNDS
#define ROUNDS 5
#endif
#define STEPS 2
#define SLOTS (ROUNDS * AUTHORS)
#define ANCHORS 6 /* index of the first slot of round 4 */
#define SLOT(round, author) (((round) - 1) * AUTHORS + (author))

/* Of a slot: what is decided, or what votes decide. */
#define UNDECIDED 0
#define COMMIT 1
#define SKIP 2
#define NEITHER 3

byte fact[SLOTS]
bool known[SLOTS]
/* What an anchor says of a slot for which the fact is neither; UNDECIDED: nobody asked yet. */
byte says[6 * (SLOTS - ANCHORS)]

/* Decisions of the node, and of one that knows all facts, under the same schedule. */
#define NODE 0
#define ALL_KNOWING SLOTS
byte status[2 * SLOTS]
bool holds[AUTHORS] /* whether an author has slots */
byte nextStep = 1

/* Scratch. */
byte round, place, author, slot, above, anchor, stop, i
byte verdict

/* The author of a place of a round: the order differs from round to round. */
#define AUTHOR(round, place) (((round) + (place)) % AUTHORS)

inline choose(what) {
  if
  :: what = COMMIT
  :: what = SKIP
  fi
}

/* What the anchor at hand says of the slot at hand. */
inline ask() {
  if
  :: fact[slot] != NEITHER -> verdict = fact[slot]
  :: else ->
    if
    :: says[(anchor - ANCHORS) * 6 + slot] == UNDECIDED -> choose(says[(anchor - ANCHORS) * 6 + slot])
    :: else
    fi;
    verdict = says[(anchor - ANCHORS) * 6 + slot]
  fi
}

/* The first slot three rounds above or higher that is not skipped decides, if it is decided itself. */
inline decideIndirectly(base) {
  above = round + 3;
  stop = 0;
  do
  :: stop || above > ROUNDS -> break
  :: else ->
    i = 0;
    do
    :: stop || i == AUTHORS -> break
    :: else ->
      anchor = SLOT(above, AUTHOR(above, i));
      if
      :: holds[AUTHOR(above, i)] && status[base + anchor] == COMMIT -> ask(); status[base + slot] = verdict; stop = 1
      :: holds[AUTHOR(above, i)] && status[base + anchor] == UNDECIDED ->
#ifndef PASS_UNDECIDED
        stop = 1
#else
        skip
#endif
      :: else
      fi;
      i++
    od;
    above++
  od
}

/* decide() of section 7, for the node or for one that knows all. */
inline decide(base, knowsAll) {
  round = ROUNDS;
  do
  :: round < nextStep || round == 0 -> break
  :: else ->
    place = AUTHORS;
    do
    :: place == 0 || round == 3 -> break
    :: else ->
      place--;
      author = AUTHOR(round, place);
      slot = SLOT(round, author);
      if
      :: holds[author] && status[base + slot] == UNDECIDED ->
        if
        :: (knowsAll || known[slot]) && fact[slot] != NEITHER -> status[base + slot] = fact[slot]
        :: else -> decideIndirectly(base)
        fi
      :: else
      fi
    od;
    round--
  od
}

inline forget(base) {
  i = 0;
  do
  :: i == SLOTS -> break
  :: else -> status[base + i] = UNDECIDED; i++
  od
}

/* What the node decided is what is so. */
inline check() {
  i = 0;
  do
  :: i == SLOTS -> break
  :: else ->
    assert(status[NODE + i] == UNDECIDED || !holds[i % AUTHORS] || status[NODE + i] == status[ALL_KNOWING + i]);
    i++
  od
}

/* Whether all slots of the next step are decided, in `stop`. */
inline ready() {
  stop = nextStep <= STEPS;
  i = 0;
  do
  :: i == AUTHORS -> break
  :: else ->
    if
    :: holds[i] && status[NODE + SLOT(nextStep, i)] == UNDECIDED -> stop = 0
    :: else
    fi;
    i++
  od
}

/* Takes the step, and changes the schedule by what it decided. */
inline step() {
  author = AUTHOR(nextStep, 0);
  if
  :: !holds[author] -> author = AUTHOR(nextStep, 1)
  :: else
  fi;
  place = status[NODE + SLOT(nextStep, author)] == SKIP;
  stop = 0;
  i = 0;
  do
  :: i == AUTHORS -> break
  :: else ->
    above = !(place && i == author);
    stop = stop || (holds[i] != above);
    holds[i] = above;
    i++
  od;
  nextStep++;
  if
  :: stop ->
#ifndef KEEP_CACHE
    forget(NODE);
#endif
    forget(ALL_KNOWING)
  :: else
  fi;
  stop = 0
}

inline settle() {
  decide(ALL_KNOWING, true);
  decide(NODE, false);
  skip;
  d_step { check(); ready(); skip }
  do
  :: !stop -> break
  :: else ->
    d_step { step() }
    decide(ALL_KNOWING, true);
    decide(NODE, false);
    skip;
    d_step { check(); ready(); skip }
  od;
  skip;
  d_step { round = 0; place = 0; author = 0; slot = 0; above = 0; anchor = 0; stop = 0; i = 0; verdict = 0 }
}

init {
  byte next;
  atomic {
    holds[0] = true;
    holds[1] = true;
    do
    :: next == SLOTS -> break
    :: next < SLOTS && (next == 4 || next == 5) -> fact[next] = NEITHER; next++
    :: next < SLOTS && next != 4 && next != 5 ->
      if
      :: fact[next] = COMMIT
      :: fact[next] = SKIP
      :: fact[next] = NEITHER
      fi;
      next++
    od;
    next = 0
  }
  /* Facts become known one by one, in any order; the node settles whenever it likes. */
  do
  :: nextStep > STEPS -> break
  :: else ->
    atomic {
      next = 0;
      do
      :: next < SLOTS - 1 -> next++
      :: break
      od;
      if
      :: fact[next] != NEITHER && !known[next] -> known[next] = true; next = 0; settle()
      :: else -> next = 0; break
      fi
    }
  od
}
