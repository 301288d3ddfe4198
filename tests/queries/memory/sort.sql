-- The last rows of all in the order of a long text: every row is sorted.
-- order: total
SELECT patient, note, amount FROM big.visits ORDER BY note OFFSET 7999990
