;; Finds where a JSON string ends, 64 bytes at a time.
(module
  (memory (export "memory") 1)

  ;; The byte behind the quote that ends the string whose text begins at $at; -1 when there is none before $end.
  ;; Up to 63 bytes behind $end are read.
  (func (export "endOfString") (param $at i32) (param $end i32) (result i32)
    (local $quote v128)   ;; sixteen quotes
    (local $found i64)    ;; which of the 64 bytes at $at are quotes that have not been looked at
    (local $where i32)
    (local $before i32)
    (local.set $quote (i8x16.splat (i32.const 0x22)))
    (block $none
      (loop $block
        (br_if $none (i32.ge_s (local.get $at) (local.get $end)))
        (local.set $found
          (i64.or
            (i64.or
              (i64.extend_i32_u
                (i8x16.bitmask (i8x16.eq (v128.load (local.get $at)) (local.get $quote))))
              (i64.shl
                (i64.extend_i32_u
                  (i8x16.bitmask (i8x16.eq (v128.load offset=16 (local.get $at)) (local.get $quote))))
                (i64.const 16)))
            (i64.or
              (i64.shl
                (i64.extend_i32_u
                  (i8x16.bitmask (i8x16.eq (v128.load offset=32 (local.get $at)) (local.get $quote))))
                (i64.const 32))
              (i64.shl
                (i64.extend_i32_u
                  (i8x16.bitmask (i8x16.eq (v128.load offset=48 (local.get $at)) (local.get $quote))))
                (i64.const 48)))))
        (block $clean
          (loop $next
            (br_if $clean (i64.eqz (local.get $found)))
            (local.set $where (i32.add (local.get $at) (i32.wrap_i64 (i64.ctz (local.get $found)))))
            ;; Back over the backslashes before it: the quote that begins the string is there to stop at.
            (local.set $before (local.get $where))
            (loop $back
              (local.set $before (i32.sub (local.get $before) (i32.const 1)))
              (br_if $back (i32.eq (i32.load8_u (local.get $before)) (i32.const 0x5c))))
            ;; An even number of them escape each other, and not the quote.
            (if (i32.and (i32.sub (local.get $where) (local.get $before)) (i32.const 1))
              (then
                (br_if $none (i32.ge_s (local.get $where) (local.get $end)))
                (return (i32.add (local.get $where) (i32.const 1)))))
            ;; Without its lowest bit.
            (local.set $found (i64.and (local.get $found) (i64.sub (local.get $found) (i64.const 1))))
            (br $next)))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $block)))
    (i32.const -1))
)
